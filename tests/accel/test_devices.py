"""The device of a pipeline: found at once on a CPU, by diffusers' hooks elsewhere."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from accel.pipelines.devices import device_of


def hooked(pipe: Any, patch: pytest.MonkeyPatch, device: str) -> None:
    """Hooks that compute on this device; without one they must not be looked for."""

    def found(_: Any) -> torch.device:
        assert device, "hooks were looked for"
        return torch.device(device)

    patch.setattr(type(pipe), "_execution_device", property(found))


def test_without_an_accelerator_no_hooks_are_looked_for(
    pipe: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: False)
    hooked(pipe, monkeypatch, "")
    assert device_of(pipe) == torch.device("cpu")


@pytest.mark.parametrize("accelerator", [True, False])
def test_weights_that_wait_elsewhere_are_computed_where_hooks_say(
    accelerator: bool, pipe: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: accelerator)
    hooked(pipe, monkeypatch, "cuda:1")
    if not accelerator:
        pipe.unet.to("meta")
    assert device_of(pipe) == torch.device("cuda:1")
