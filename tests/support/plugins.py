"""Packages with plug-ins that are there for a test without an installation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from accel import families
from strategies import knobs
from strategies.plugins import entry_points
from strategies.plugins import families as others

Groups = Mapping[str, Mapping[str, str]]  # By kind the entry points by name.


def declare(folder: Path, package: str, groups: Groups) -> None:
    """Write the metadata of an installed package."""
    info = folder / f"{package.replace('-', '_')}-1.0.dist-info"
    info.mkdir(parents=True, exist_ok=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    lines = [
        line
        for kind, entries in groups.items()
        for line in (f"[stratagem.{kind}]", *(f"{n} = {v}" for n, v in entries.items()))
    ]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n")


@contextmanager
def seen(*folders: Path) -> Iterator[pytest.MonkeyPatch]:
    """Packages in these folders are installed as long as this lasts."""
    with pytest.MonkeyPatch.context() as patch:
        for folder in folders:
            patch.syspath_prepend(folder)
        forget()
        try:
            yield patch
        finally:
            patch.undo()
            forget()


def forget() -> None:
    """Look for methods and families of packages again."""
    entry_points.forget_plugins()
    knobs.registered_methods.cache_clear()
    others.from_packages.cache_clear()
    families.all_families.cache_clear()
