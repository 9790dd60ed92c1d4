"""Copied folder of a run whose study is in a database: the copy gets a study of its own.

Otherwise two runs would continue in one study. A folder that was moved keeps its study.
"""

from __future__ import annotations

import platform
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from search.config import SearchConfig
from search.study.run_notes import UnopenedStudy
from search.study.storage.location import Location
from search.study.storage.opening import copy


def copy_name(folder: Path) -> str:
    """A name for the study of a run, among those of equally named folders."""
    return f"{folder.absolute().name}-{secrets.token_hex(4)}"


def own(config: SearchConfig, folder: Path, location: Location) -> SearchConfig:
    """Settings of a resumed run, with a study of its own if its folder is a copy.

    Raises:
        StrategyError: the database cannot be read or written.
    """
    if isinstance(location, Path) or not _is_copy(
        UnopenedStudy(location, config.study).notes.home, folder
    ):
        return config
    name = copy_name(folder)
    copy(location, config.study, name)
    return config.model_copy(update={"study": name})


def home(folder: Path) -> dict[str, Any]:
    """Folder that a study in a database belongs to."""
    path = folder.resolve()
    return {"host": platform.node(), "path": str(path), "inode": path.stat().st_ino}


def _is_copy(kept: Mapping[str, Any] | None, folder: Path) -> bool:
    """Whether a study belongs to another folder that may still be there."""
    mine = home(folder)
    if kept is None or kept["inode"] == mine["inode"]:
        return False  # Also under another name, or seen from another machine.
    if kept["host"] != mine["host"]:
        return True
    return kept["path"] != mine["path"] and Path(kept["path"]).exists()
