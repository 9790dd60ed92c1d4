"""Folders of data that come with the packages.

They are found by the path of this file, never by import: a project may have a package `configs` of
its own.
"""

from __future__ import annotations

from pathlib import Path


def sibling_folder(name: str) -> Path:
    """The folder `name` beside the packages, such as `configs` or `zoo`."""
    return Path(__file__).resolve().parents[2] / name
