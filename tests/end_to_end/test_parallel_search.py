"""A search whose worker is two processes that share the tokens of each image."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import psutil
import pytest
import yaml

from search import cli
from search.study.study import Study
from tests.support.paths import ROOT
from zoo import untrained

SETTING = ["--methods", "fora,deltacache", "--workers", "1", "--parallel", "context"]
SETTING += ["--processes-per-worker", "2", "--images", "3", "--heldout-images", "4"]
SETTING += ["--export", "2", "--batch", "2", "--size", "32", "--steps", "3,4", "--base-steps", "4"]
SETTING += ["--objective", "psnr", "--objective", "latency", "--budget", "6evals"]


def members(search: subprocess.Popen[bytes]) -> list[psutil.Process]:
    """Processes of the search's worker that are at work."""
    found = []
    for one in psutil.Process(search.pid).children(recursive=True):
        try:
            if "RayWorker.answer" in " ".join(one.cmdline()):
                found.append(one)
        except psutil.Error:
            continue
    return found


def wait(search: subprocess.Popen[bytes], log: Path, until: Callable[[], bool]) -> None:
    while not until():
        assert search.poll() is None, log.read_text()[-2000:]
        time.sleep(0.2)


@pytest.mark.slow
def test_a_search_of_two_processes_is_killed_and_resumed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, run, log = tmp_path / "flux", tmp_path / "run", tmp_path / "log"
    untrained.load_untrained("flux").save_pretrained(model)
    command = [sys.executable, "-m", "search", "--model", str(model), *SETTING, "--out", str(run)]
    variables = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}

    def finished() -> int:
        journal = run / "study.journal"
        return len(Study(journal).evaluations) if journal.is_file() else 0

    with log.open("wb") as out:
        search = subprocess.Popen(command, stdout=out, stderr=out, env=variables)
    try:
        wait(search, log, lambda: finished() > 0 and len(members(search)) == 2)
        there = members(search)
        there[1].send_signal(signal.SIGKILL)
        before = finished()
        wait(search, log, lambda: finished() > before)
        assert "of its 2 died" in log.read_text()
        everyone = psutil.Process(search.pid).children(recursive=True)
    finally:
        search.kill()
        search.wait()
    _, left = psutil.wait_procs(everyone, timeout=120)
    assert not left
    assert cli.main(["--resume", str(run), "--processes-per-worker", "4"]) == 2
    assert "--processes-per-worker cannot change in a resumed run" in capsys.readouterr().err
    assert cli.main(["--resume", str(run)]) == 0
    study = Study(run / "study.journal")
    assert len(study.evaluations) == 6
    assert all(row.succeeded for row in study.evaluations)
    settings = yaml.safe_load((run / "config.yaml").read_text())
    assert (settings["parallel"], settings["processes_per_worker"]) == ("context", 2)
    table = pd.read_csv(run / "front.csv")
    assert (table["latency_s"] > 0).all()
    assert "2 processes with context parallelism" in str(study.noted("device"))


@pytest.mark.parametrize(
    ("flags", "error"),
    [
        (["--methods", "fora"], "no plan for context parallelism of the pipeline's transformer"),
        (["--methods", "fora", "--workers", "0"], "0 workers run in this process; give --workers"),
    ],
)
def test_what_cannot_be_shared_is_one_line(
    flags: list[str], error: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """tiny-pixart: diffusers shares no tokens of PixArt."""
    run = tmp_path / "run"
    given = ["--model", "tiny-pixart", "--parallel", "context", "--processes-per-worker", "2"]
    assert cli.main([*given, *flags, "--out", str(run)]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert error in line
    assert not run.exists()
