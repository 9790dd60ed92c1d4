"""Atomic results of training on disk."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from safetensors import SafetensorError, safe_open

LAST, BEFORE = "last.safetensors", "before.safetensors"


def make(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a file or folder, which appears at `path` when it is complete."""
    part = path.with_name(f"{path.name}.part")
    if part.is_dir():
        shutil.rmtree(part)
    write(part)
    for file in [part] if part.is_file() else part.rglob("*"):
        if file.is_file():
            with file.open("rb") as written:
                os.fsync(written.fileno())
    part.replace(path)


def newest(folder: Path) -> Path | None:
    """The last complete checkpoint; an incomplete one is skipped for the one before."""
    for name in (LAST, BEFORE):
        path = folder / name
        if not path.exists():
            continue
        try:
            with safe_open(path, "pt") as file:
                file.metadata()
        except (SafetensorError, OSError) as error:
            print(f"{path} is not whole ({error}); passed over", flush=True)
            continue
        return path
    return None
