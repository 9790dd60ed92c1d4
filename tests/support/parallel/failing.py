"""One of two processes, of which the second fails while the first is busy."""

from __future__ import annotations

import os
import time
from pathlib import Path


def main(rank: int, folder: Path, arguments: list[str]) -> None:
    (folder / f"{rank}.pid").write_text(str(os.getpid()))
    while not (folder / "0.pid").exists():
        time.sleep(0.01)
    if rank == 0:
        time.sleep(600)
    raise KeyError("of the second process")
