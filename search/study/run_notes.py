"""Ties of a study to its run: noted when the run begins, and checked when it continues.

The keys are those of version 0.1, so runs of earlier versions are read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Self

from search.study.storage.location import Location
from search.study.storage.opening import study_notes
from search.study.study import ENTRY, SECONDS, Study


@dataclass(frozen=True)
class RunNotes:
    """Notes of a run; each is None if the study has none.

    Attributes:
        settings: settings that the run began with, see `search.results.run_settings`.
        inputs: inputs that its scores depend on, see `search.run_folder.inputs`.
        home: folder that a study in a database belongs to, see `search.run_folder.study_copy`.
        command: command line that began the run.
        skip_levels: number of skip levels of the UNet that its strategies are for.
    """

    settings: Mapping[str, Any] | None = None
    inputs: Mapping[str, Any] | None = None
    home: Mapping[str, Any] | None = None
    command: str | None = None
    skip_levels: int | None = None

    @classmethod
    def of(cls, study: Study) -> Self:
        """The notes of an open study."""
        return cls(**{one.name: study.noted(one.name) for one in fields(cls)})

    def given(self) -> dict[str, Any]:
        """Those that there are, by their keys."""
        found = {one.name: getattr(self, one.name) for one in fields(self)}
        return {key: value for key, value in found.items() if value is not None}

    def keep(self, study: Study) -> None:
        """Note what a study lacks of them, or has otherwise."""
        for key, value in self.given().items():
            if study.noted(key) != value:
                study.note(key, value)


class UnopenedStudy:
    """Notes of a study, read without its evaluations.

    Args:
        location: path of the journal or URL of a database; it need not be there.
        name: name of the study.

    Raises:
        StrategyError: it is damaged or cannot be read.
    """

    def __init__(self, location: Location, name: str) -> None:
        there = not isinstance(location, Path) or location.exists()
        self._kept = study_notes(location, name) if there else {}

    @property
    def is_empty(self) -> bool:
        """Whether nothing is noted, or there is no such study."""
        return not self._kept

    @property
    def notes(self) -> RunNotes:
        """Ties to its run."""
        return RunNotes(**{one.name: self._kept.get(one.name) for one in fields(RunNotes)})

    def has_paid_for(self, name: str) -> bool:
        """Whether it has device time of something, such as `baseline-search`."""
        parts = f"{ENTRY}{name}:"
        return f"{SECONDS}{name}" in self._kept or any(key.startswith(parts) for key in self._kept)
