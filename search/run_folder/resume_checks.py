"""Ties of a run to its folder, its settings and its inputs.

They are noted when the run begins, and checked when it is resumed. Everything is checked before
anything is written, so a run that is refused is as it was.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from search.config import SearchConfig
from search.results import run as runs
from search.results import run_settings as settled
from search.results import warm_start as warm
from search.run_folder import inputs
from search.run_folder import study_copy as copies
from search.study.run_notes import RunNotes, UnopenedStudy
from search.study.storage.location import Location
from search.study.study import Study
from strategies import StrategyError, load
from strategies.sharing import measured_on


class Ties:
    """Ties of one run.

    Args:
        folder: folder of the run.
        config: present settings of the run.

    Attributes:
        inputs: present inputs that its scores depend on.
        told: lines for people.
        unsigned: whether features without a digest of their inputs are the run's own.

    Raises:
        StrategyError: prompts, model or reference cannot be read.
    """

    def __init__(self, folder: Path, config: SearchConfig) -> None:
        self.folder, self.config = folder, config
        self.inputs = inputs.collect_inputs(config)
        self.told: list[str] = []
        self.unsigned = False

    def notes(self) -> RunNotes:
        """Notes that a study has from its beginning."""
        return RunNotes(
            settings=settled.kept_settings(self.config, self.folder),
            inputs={"marks": self.inputs.marks, "unsigned": False},
            home=copies.home(self.folder) if self.config.storage else None,
        )

    def check(self, location: Location) -> None:
        """Check a resumed run against its notes.

        Raises:
            StrategyError: something has changed, is damaged or is lost; the error says what to do.
        """
        study = UnopenedStudy(location, self.config.study)
        kept = study.notes
        for path in sorted(self.folder.glob("baseline-*.safetensors")):
            if not study.has_paid_for(path.stem):
                raise StrategyError(
                    f"{self.folder}: its study is lost or lacks its first entries: {path.name} is "
                    "there, and the study has nothing of it; put a whole copy back, or start a new "
                    "run"
                )
        settled.check_settings(kept.settings, self.folder)
        inputs.check_same_inputs(kept.inputs, self.folder, self.config, self.inputs)
        begun = not study.is_empty
        self.unsigned = begun if kept.inputs is None else kept.inputs["unsigned"]
        if kept.inputs is None and begun:
            self.told.append(
                f"{self.folder}: begun by a version that did not note the inputs of its scores; "
                "they are noted now, and are checked from here on"
            )

    def adopt(self, config: SearchConfig) -> SearchConfig:
        """Take the settings of a run whose folder may be a copy."""
        if config.study != self.config.study:
            self.told.append(f"{self.folder} is a copy: it continues in a study of its own")
        self.config = config
        return config

    def keep(self, study: Study) -> None:
        """Note what the study lacks, and keep the prompts; `config.yaml` is written already."""
        inputs.keep_prompts(self.folder, self.config, self.inputs)
        mine = {"marks": self.inputs.marks, "unsigned": self.unsigned}
        replace(self.notes(), inputs=RunNotes.of(study).inputs or mine).keep(study)

    def beside(self, sources: Iterable[str]) -> None:
        """Add a line for each run or file of the warm start that had other inputs."""
        sources = list(sources)
        for source in warm.runs_among(sources):
            kept = RunNotes.of(runs.load_run(Path(source)).study).inputs
            line = inputs.other_inputs_line(source, kept, self.inputs, self.config)
            self.told += [line] if line else []
        model, weights = self.config.model, self.inputs.marks["weights"]
        for source in set(sources) - set(warm.runs_among(sources)):
            if Path(source).is_dir():
                continue
            found = measured_on.model_differences(
                load(source), model.name, model.dtype, weights=weights
            )
            if found:
                self.told.append(
                    f"--warm-start {source}: measured on another model ({'; '.join(found)}); it is "
                    "a hint, and is scored again"
                )
