"""Exchange of a folder for another in one step, so that no reader sees it empty or incomplete."""

from __future__ import annotations

import ctypes
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from strategies.data_files.whole import UnwritableError, make_folder, refusing, temporary_path

HERE = -100  # Flag of `renameat2`: paths are relative to the working folder.
SWAP = 2  # Flag of `renameat2`: exchange the two names.


@contextmanager
def stage(folder: Path, place: Path) -> Iterator[Path]:
    """Temporary folder for content that is then put in its place; deleted after the block.

    Args:
        folder: folder in which it is made.
        place: path of its content later, which errors name.

    Raises:
        UnwritableError: it, or something in it, cannot be written.
    """
    new = temporary_path(folder)
    make_folder(new)
    try:
        yield new
    except UnwritableError as error:
        raise UnwritableError(str(error).replace(str(new), str(place))) from None
    finally:
        shutil.rmtree(new, ignore_errors=True)


def put(new: Path, place: Path) -> None:
    """Move a file or folder to a path, and remove the old content.

    Raises:
        UnwritableError: it cannot be moved; the old content is still there.
    """
    with refusing(place):
        if not new.is_dir():
            new.replace(place)
        elif not place.exists():
            new.rename(place)
        else:
            _swap(new, place)
            shutil.rmtree(new, ignore_errors=True)


def _swap(new: Path, old: Path) -> None:
    """Exchange two folders: in one step if the system can, else by way of a third name."""
    swap = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if swap is not None and not swap(HERE, os.fsencode(new), HERE, os.fsencode(old), SWAP):
        return
    third = temporary_path(old.with_name(f"{old.name}.old"))
    old.rename(third)
    try:
        new.rename(old)
    except OSError:
        third.rename(old)
        raise
    third.rename(new)
