"""Models in folders, the scoring command on them, and workers that extract features."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import strategies
from evaluate import Evaluator, cli, read_model
from tests.support.paths import ROOT
from tests.support.runs.write_faults import in_a_child

CACHED = {"deepcache": {"depth": ["full", 1, 1, "full"]}}
QUICK = ["--images", "3", "--repeats", "1", "--device", "cpu"]


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert cli.main(list(arguments)) == 0
    return capsys.readouterr().out


def fails(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert cli.main(list(arguments)) == 2
    shown = capsys.readouterr().err
    lines = [line for line in shown.splitlines() if line.startswith("error")]
    assert len(lines) == 1
    return lines[0]


def save_halves(strategy: Path, folder: Path) -> None:
    """Features of two held-out prompts and of the next two, in files `0.npy` and `2.npy`."""
    torch.set_num_threads(1)
    one, evaluator = strategies.load(strategy), Evaluator(read_model("tiny-sd"))
    for first in (0, 2):
        part = evaluator.prompts["heldout"].at(range(first, first + 2))
        found = evaluator.generate("x", one, part).features("bundled")
        np.save(folder / f"{first}.npy", found)


def forked(strategy: Path, folder: Path) -> None:
    """`save_halves` in a fork of this process."""

    def work() -> int:
        save_halves(strategy, folder)
        return 0

    assert in_a_child(work, folder / "shown") == 0, (folder / "shown").read_text()


def begun(strategy: Path, folder: Path) -> None:
    """`save_halves` in a process that imports everything itself."""
    code = "import sys; from pathlib import Path; from tests.support import scored_folders\n"
    code += "scored_folders.save_halves(*map(Path, sys.argv[1:]))"
    words = [sys.executable, "-c", code, str(strategy), str(folder)]
    subprocess.run(words, stderr=subprocess.DEVNULL, check=True, cwd=ROOT)
