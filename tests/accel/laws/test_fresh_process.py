"""Law 3: a fresh process gives the same image."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
import torch

from tests.support.pipelines import transformer_pipelines, unet_pipelines
from tests.support.pipelines.law_cases import law

CODE = """
import json, sys, torch
torch.set_num_threads(1)
torch.backends.mkldnn.set_flags(_enabled=False)  # As tests/accel/conftest.py does.
from tests.accel.laws.test_fresh_process import sums
print(json.dumps(sums(json.loads(sys.argv[1]))))
"""


def sums(models: list[str]) -> list[list[float]]:
    """Sums of the latents that pipelines with joint uses of methods generate."""
    found = []
    for model in models:
        if model in transformer_pipelines.MODELS:
            latents = transformer_pipelines.fresh(model, "cat+fora")
        else:
            latents = unet_pipelines.fresh("everything")
        found.append([float(one.double().sum()) for one in (latents, latents.abs())])
    return found


@law(3)
@pytest.mark.parametrize(
    "models",
    [
        ["sd1", "flux"],
        pytest.param([*transformer_pipelines.MODELS], marks=pytest.mark.slow),
    ],
    ids="+".join,
)
def test_a_fresh_process_gives_the_same_images(models: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CODE, json.dumps(models)], capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout) == sums(models)
    assert all(torch.tensor(sums(models)).isfinite().flatten())
