"""Functions of the user's that return a pipeline."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import torch

import accel
import accel.cli
import search.cli
from accel.models.resolve import open_model
from strategies import StrategyError
from tests.support.models.opened_models import SEARCHED
from tests.support.pipelines.unet_pipelines import build, draw


def module(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "my_models.py").write_text(
        "from tests.support.pipelines.unet_pipelines import build\n"
        "CALLS = []\n"
        "def sd():\n    CALLS.append(1)\n    return build('sd1')\n"
        "def other():\n    return 3\n"
        "def fails():\n    raise RuntimeError('no such device')\n"
    )
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delitem(sys.modules, "my_models", raising=False)


def test_a_function_returns_the_pipeline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module(tmp_path, monkeypatch)
    small = {"steps": 2, "height": 32, "width": 32}
    pipe, config = open_model("my_models:sd", "cpu", False)
    assert config is None
    assert torch.equal(draw(pipe, **small), draw(build("sd1"), **small))
    for name, said in (
        ("my_models:other", "returned a int; it must return a pipeline"),
        ("my_models:fails", "the function failed: RuntimeError: no such device"),
        ("my_models:none", "my_models has no function none"),
        ("no_models:sd", "No module named 'no_models'"),
    ):
        with pytest.raises(StrategyError, match=said):
            open_model(name, "cpu", False)


@pytest.mark.usefixtures("few_turns")
def test_a_run_of_a_function_goes_on_only_if_it_is_named_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    module(tmp_path, monkeypatch)
    run, name = tmp_path / "run", "my_models:sd"
    asked = [*SEARCHED, "--out", str(run), "--model", name, "--budget", "2evals"]
    assert search.cli.main(asked) == 0
    again = ["--resume", str(run), "--budget", "3evals"]
    calls = sys.modules["my_models"].CALLS
    before = len(calls)
    capsys.readouterr()
    assert search.cli.main(again) == 2
    line = capsys.readouterr().err.strip()
    assert "its model is the function my_models:sd" in line
    assert "--model my_models:sd" in line
    assert search.cli.main(["ablate", str(run)]) == 2
    assert len(calls) == before
    assert search.cli.main([*again, "--model", name]) == 0
    (made, *_) = sorted((run / "strategies").glob("*.json"))
    found = json.loads(made.read_text())["provenance"]
    assert found["model"] == "my_models.sd"
    assert {"unet", "vae"} <= set(found["weights"])
    # A strategy that names a function runs none.
    before = len(calls)
    assert accel.cli.main(
        ["generate", "--strategy", str(made), "--model", "tiny-sd", "--prompt", "a red circle",
         "--out", str(tmp_path / "one.png"), "--device", "cpu"]
    ) == 0  # fmt: skip
    assert len(calls) == before
