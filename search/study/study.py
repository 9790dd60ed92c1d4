"""The study: an append-only log of a search, and its only state.

It is an Optuna study in a journal file or a database, so optuna-dashboard shows it. Every finished
evaluation is one trial. Everything that is measured once, such as the latency table or the held-out
scores, is a study attribute. The search computes everything else from these.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Literal

import optuna
from optuna.trial import TrialState, create_trial

from search.objectives.objectives import BUNDLED_OBJECTIVES
from search.study import score_checks as gate
from search.study.evaluation import Evaluation
from search.study.storage.location import Location
from search.study.storage.opening import (
    check_numbers,
    faults,
    location_text,
    open_storage,
    unusable_location,
)
from search.study.trial_columns import columns
from strategies import Strategy, StrategyError
from strategies.data_files.whole import temporary_path

NAME = "stratagem"
ENTRY = "entry:"  # Prefix of an entry: notes that belong together, with their device time.
SECONDS = "seconds:"  # Prefix of device time as earlier versions kept it, apart from its notes.


class Study:
    """The log of one run.

    Args:
        location: path of the journal, or URL of a database; created if it does not exist.
        objectives: names of the objectives, for a new study.
        name: name of the study, among others in a database.
        read_only: whether to read only, while a search may be writing. Then nothing is created,
            changed or repaired, and `add` and `note` are errors.
        notes: notes that a new study has from its beginning; an existing one gets those that it
            lacks.

    Raises:
        StrategyError: the study is damaged other than at its end, cannot be written, or is not
            there to be read.
    """

    def __init__(
        self,
        location: Location,
        objectives: Sequence[str] = BUNDLED_OBJECTIVES,
        name: str = NAME,
        read_only: bool = False,
        notes: Mapping[str, Any] | None = None,
    ) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._location, self._read_only = location, read_only
        try:
            if read_only:
                storage = open_storage(location, read_only)
                self._study = optuna.load_study(study_name=name, storage=storage)
            else:
                self._study = _open(location, name, objectives, notes or {})
        except StrategyError:
            raise
        except faults(location) as error:
            raise unusable_location(location, error) from None
        except (ValueError, KeyError) as error:
            empty = f", or one without the study {name!r} yet" if read_only else ""
            raise StrategyError(
                f"{location_text(location)}: not a readable study log{empty} ({error})"
            ) from None
        self._notes: dict[str, Any] = {}
        self._seconds: dict[str, float] = {}
        for key, value in self._study.user_attrs.items():
            self._take(key, value)
        trials = self._study.get_trials(deepcopy=False)
        try:
            self.evaluations = [gate.evaluation(_read(trial)) for trial in trials]
        except KeyError as error:
            raise StrategyError(
                f"{location_text(location)}: a study log of another version, without {error}; "
                "start a new run"
            ) from None
        check_numbers(location, (evaluation.number for evaluation in self.evaluations))
        self._evaluating = sum(evaluation.seconds for evaluation in self.evaluations)

    def add(self, evaluation: Evaluation) -> None:
        """Append a finished evaluation after the checks; it is on disk when this returns."""
        evaluation = gate.evaluation(evaluation)
        parameters, ranges = columns(evaluation.strategy)
        attributes = {
            "number": evaluation.number,
            "origin": evaluation.origin,
            "genome": list(evaluation.genome),
            "digest": evaluation.strategy.digest,
            "strategy": evaluation.strategy.to_json(),
            "scores": dict(evaluation.scores),
            "error": evaluation.error,
            "seconds": evaluation.seconds,
            "violation": evaluation.violation,
            "images": evaluation.images,
            "draws": [list(row) for row in evaluation.resampled_losses],
        }
        with _quiet(), self._writing():
            self._study.add_trial(
                create_trial(
                    state=TrialState.COMPLETE if evaluation.succeeded else TrialState.FAIL,
                    values=list(evaluation.objectives) if evaluation.succeeded else None,
                    params=parameters,
                    distributions=ranges,
                    user_attrs=attributes,
                    constraints={"violation": evaluation.violation}
                    if evaluation.succeeded
                    else None,
                )
            )
        self.evaluations.append(evaluation)
        self._evaluating += evaluation.seconds

    def note(self, key: str, value: Any) -> None:
        """Keep a value that is measured once."""
        with self._writing():
            self._study.set_user_attr(key, value)
        self._take(key, value)

    def enter(self, name: str, notes: Mapping[str, Any], seconds: float = 0.0) -> None:
        """Keep notes that belong together as one entry of the log: all of them, or none.

        Args:
            name: name of the entry; it replaces an entry of the same name, with its seconds.
            notes: values by key; `noted` reads them.
            seconds: device time that they took.
        """
        self.note(f"{ENTRY}{name}", {"notes": dict(notes), "seconds": seconds})

    def _take(self, key: str, value: Any) -> None:
        if key.startswith(ENTRY):
            self._notes |= value["notes"]
            self._seconds[key] = float(value["seconds"])
            return
        self._notes[key] = value
        if key.startswith(SECONDS):
            self._seconds[key] = float(value)

    def noted(self, key: str) -> Any:
        """Value that `note` or `enter` has kept under `key`, or None."""
        return self._notes.get(key)

    def named(self, prefix: str) -> dict[str, Any]:
        """All notes whose keys begin with `prefix`, by the rest of their keys."""
        there = self._notes.items()
        return {key.removeprefix(prefix): v for key, v in there if key.startswith(prefix)}

    def seconds(self, name: str) -> float:
        """Device time of the entries called `name`, and of those called `name:...`."""
        whole = (f"{ENTRY}{name}", f"{SECONDS}{name}")
        parts = tuple(f"{key}:" for key in whole)
        taken = self._seconds.items()
        return sum(value for key, value in taken if key in whole or key.startswith(parts))

    @contextmanager
    def _writing(self) -> Iterator[None]:
        if self._read_only:
            raise StrategyError(f"{location_text(self._location)}: opened for reading only")
        try:
            yield
        except faults(self._location) as error:
            raise unusable_location(self._location, error) from None

    @property
    def spent(self) -> float:
        """Device time in seconds, of all evaluations and of everything else that was measured."""
        return self._evaluating + sum(self._seconds.values())


def _open(
    location: Location, name: str, objectives: Sequence[str], notes: Mapping[str, Any]
) -> optuna.Study:
    """The study, created if it is not there; a new journal has its notes from the beginning."""
    if isinstance(location, Path) and notes and not location.exists():
        part = temporary_path(location)
        try:
            _lacking(_create(name, open_storage(part, False), objectives), notes)
            part.replace(location)
        except BaseException:
            with suppress(OSError):
                part.unlink(missing_ok=True)
            raise
    study = _create(name, open_storage(location, False), objectives)
    _lacking(study, notes)
    return study


def _lacking(study: optuna.Study, notes: Mapping[str, Any]) -> None:
    there = study.user_attrs
    for key, value in notes.items():
        if key not in there:
            study.set_user_attr(key, value)


def _create(
    name: str, storage: optuna.storages.BaseStorage, objectives: Sequence[str]
) -> optuna.Study:
    directions: list[Literal["minimize"]] = ["minimize"] * len(objectives)
    try:
        study = optuna.load_study(study_name=name, storage=storage)
    except KeyError:  # Asked to create one that is there, Optuna would still write to its log.
        study = optuna.create_study(study_name=name, storage=storage, directions=directions)
    with _quiet():
        if study.metric_names is None:
            study.set_metric_names(list(objectives))
    return study


@contextmanager
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        yield


def _read(trial: optuna.trial.FrozenTrial) -> Evaluation:
    attributes = trial.user_attrs
    return Evaluation(
        number=attributes["number"],
        origin=attributes["origin"],
        genome=tuple(attributes["genome"]),
        strategy=Strategy.create(**attributes["strategy"]),
        scores=attributes["scores"],
        error=attributes["error"],
        seconds=attributes["seconds"],
        objectives=tuple(trial.values or ()),
        violation=attributes["violation"],
        images=attributes["images"],
        resampled_losses=tuple(tuple(row) for row in attributes["draws"]),
    )
