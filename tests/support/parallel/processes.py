"""Two processes of one program that know each other, none of which stays behind.

The program is imported once and then forked, because the imports take longer than what it does.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from tests.support.paths import ROOT

COUNT = 2
SECONDS = 600  # For machines on which everything is slow.


class ProcessError(AssertionError):
    """A process failed or hung; all are gone."""


def run(module: str, folder: Path, *arguments: str) -> list[Any]:
    """Run `main(RANK, FOLDER, ARGUMENTS)` of a module in every process.

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
    log = folder / "log"
    command = [sys.executable, "-m", __name__, module, str(folder), *arguments]
    with log.open("wb") as out:
        leader = subprocess.Popen(
            command, stdout=out, stderr=out, cwd=ROOT, env=variables, start_new_session=True
        )
    try:
        code: int | None = leader.wait(SECONDS)
    except subprocess.TimeoutExpired:
        code = None
    finally:
        with suppress(ProcessLookupError):
            os.killpg(leader.pid, signal.SIGKILL)
        leader.wait()
    if code != 0:
        state = "did not end" if code is None else f"ended with {code}"
        raise ProcessError(f"the processes {state}:\n{log.read_text('utf-8')[-2000:]}")
    return [json.loads((folder / f"{rank}.json").read_text("utf-8")) for rank in range(COUNT)]


def main(module: str, folder: Path, arguments: list[str]) -> int:
    """Fork the processes and wait until all have ended well, or one of them has not."""
    program = importlib.import_module(module).main
    forked = get_context("fork")
    made = [forked.Process(target=program, args=(r, folder, arguments)) for r in range(COUNT)]
    for one in made:
        one.start()
    while any(one.is_alive() for one in made) and not any(one.exitcode for one in made):
        time.sleep(0.05)
    codes = [one.exitcode for one in made]
    for one in made:
        one.kill()
    return next((code for code in codes if code), 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], Path(sys.argv[2]), sys.argv[3:]))
