"""Two processes of one program that know each other, none of which stays behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tests.support.paths import ROOT

COUNT = 2
SECONDS = 600  # For machines on which everything is slow.


class ProcessError(AssertionError):
    """A process failed or hung; all are gone."""


def run(module: str, folder: Path, *arguments: str) -> list[Any]:
    """Run `python -m module RANK FOLDER ARGUMENTS` in every process.

    Args:
        module: program that writes its result to `FOLDER/RANK.json`.
        folder: an empty folder.
        arguments: further ones.

    Returns:
        The result of each process.

    Raises:
        ProcessError: one of them failed, or did not end.
    """
    variables = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    logs = [folder / f"{rank}.log" for rank in range(COUNT)]
    made: list[subprocess.Popen[bytes]] = []
    try:
        for rank, log in enumerate(logs):
            command = [sys.executable, "-m", module, str(rank), str(folder), *arguments]
            with log.open("wb") as out:
                made.append(
                    subprocess.Popen(command, stdout=out, stderr=out, cwd=ROOT, env=variables)
                )
        _wait(made, logs)
    finally:
        for one in made:
            one.kill()
            one.wait()
    return [json.loads((folder / f"{rank}.json").read_text("utf-8")) for rank in range(COUNT)]


def _wait(made: list[subprocess.Popen[bytes]], logs: list[Path]) -> None:
    """Wait until all have ended well, or one of them has not."""
    end = time.monotonic() + SECONDS
    while any(one.poll() is None for one in made):
        if any(one.poll() for one in made) or time.monotonic() > end:
            break
        time.sleep(0.1)
    bad = [(one, log) for one, log in zip(made, logs, strict=True) if one.poll() != 0]
    for one, log in sorted(bad, key=lambda pair: pair[0].poll() is None):
        state = "did not end" if one.poll() is None else f"ended with {one.poll()}"
        raise ProcessError(f"a process {state}:\n{log.read_text('utf-8')[-2000:]}")
