"""What ties a run to its folder, its settings and its inputs.

It is noted when the run begins, and held against what is there when it goes on.

Everything is looked at before anything is written, so a run that is refused is as it was.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from search.config import SearchConfig
from search.results import run as runs
from search.results import run_settings as settled
from search.results import warm_start as warm
from search.run_folder import inputs
from search.run_folder import study_copy as copies
from search.study.storage import Place, notes
from search.study.study import ENTRY, SECONDS, Study
from strategies import StrategyError


class Ties:
    """The ties of one run.

    Args:
        folder: of the run.
        config: its settings now.

    Attributes:
        inputs: what its figures depend on now.
        told: lines for people.
        unsigned: whether samples that do not say what they were drawn from are the run's own.

    Raises:
        StrategyError: prompts, model or reference cannot be read.
    """

    def __init__(self, folder: Path, config: SearchConfig) -> None:
        self.folder, self.config = folder, config
        self.inputs = inputs.collect(config)
        self.told: list[str] = []
        self.unsigned = False

    def notes(self) -> dict[str, Any]:
        """What a study has from its beginning on."""
        found = {
            settled.NOTE: settled.settings(self.config, self.folder),
            inputs.NOTE: {"marks": self.inputs.marks, "unsigned": False},
        }
        return found | ({copies.NOTE: copies.home(self.folder)} if self.config.storage else {})

    def check(self, place: Place) -> None:
        """Hold a run that goes on against its notes.

        Raises:
            StrategyError: something has changed, is damaged or is lost; says what can be done.
        """
        there = not isinstance(place, Path) or place.exists()
        kept = notes(place, self.config.study) if there else {}
        for path in sorted(self.folder.glob("baseline-*.safetensors")):
            if not _knows(kept, path.stem):
                raise StrategyError(
                    f"{self.folder}: its study is lost or lacks its first entries: {path.name} is "
                    "there, and the study has nothing of it; put a whole copy back, or start a new "
                    "run"
                )
        settled.check(kept.get(settled.NOTE), self.folder)
        noted = kept.get(inputs.NOTE)
        inputs.check(noted, self.folder, self.config, self.inputs)
        self.unsigned = bool(kept) if noted is None else noted["unsigned"]
        if noted is None and kept:
            self.told.append(
                f"{self.folder}: begun by a version that did not note what its figures depend on; "
                "it is noted now, and holds from here on"
            )

    def adopt(self, config: SearchConfig) -> SearchConfig:
        """Take the settings of a run whose folder may have turned out to be a copy."""
        if config.study != self.config.study:
            self.told.append(f"{self.folder} is a copy: it continues in a study of its own")
        self.config = config
        return config

    def keep(self, study: Study) -> None:
        """Note what the study lacks, and keep the prompts; `config.yaml` is written already."""
        inputs.keep(self.folder, self.config, self.inputs)
        for key, value in self.notes().items():
            former = study.noted(key)
            if key == inputs.NOTE:
                value = former or value | {"unsigned": self.unsigned}
            if former != value:
                study.note(key, value)

    def beside(self, sources: Iterable[str]) -> None:
        """Tell of each run that the search starts warm from and that had other inputs."""
        for source in warm.runs_among(sources):
            kept = runs.read(Path(source)).study.noted(inputs.NOTE)
            line = inputs.beside(source, kept, self.inputs, self.config)
            self.told += [line] if line else []


def _knows(kept: dict[str, Any], name: str) -> bool:
    parts = f"{ENTRY}{name}:"
    return f"{SECONDS}{name}" in kept or any(key.startswith(parts) for key in kept)
