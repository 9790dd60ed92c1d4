"""The settings of a search, from defaults, a YAML file in `configs/searches/` and the flags."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from pydantic import (
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from accel.models.config import ModelConfig, read_model
from evaluate import verdicts
from evaluate.metrics import ReferenceKind
from search.initial.baselines import ORIGINS
from search.objectives import metric_set as figures
from search.objectives.metric_set import MetricSet
from search.objectives.objectives import BUNDLED_OBJECTIVES, parse_limit
from search.portable_paths import dump_config, load_config, with_present_paths
from search.proposers import PROPOSERS
from search.proposers import successive_halving as rungs
from search.study.study import NAME
from search.tracking import TRACKERS
from search.workers.settings import WorkerSettings
from strategies import StrategyError
from strategies.data_files.configs import configs, read_config
from strategies.data_files.whole import write
from strategies.genomes import compose
from strategies.plugins import entry_points
from strategies.words import did_you_mean, explain


class SearchConfig(WorkerSettings):
    """All settings of a search, and of its workers; written to `config.yaml`.

    Attributes:
        model: config of the model.
        space: search space, as in `configs/spaces/`.
        budget: budget; see `search.budget`.
        seed: seed of all random numbers of the search.
        images: number of images of an evaluation, from prompts of the search split.
        rungs: numbers of images on which candidates are scored one after the other, ending with
            `images`. By default a quarter of them comes first, if that is `FEWEST` or more and the
            proposer is one of Stratagem's own; see `search.proposers.successive_halving`.
        heldout_images: number of images of an exported strategy or baseline, from held-out prompts.
        export: number of strategies on the exported front, at most.
        population: number of parents, if the proposer has no published number of its own.
        proposer: a name in `search.proposers.PROPOSERS`; by default NSGA-II, from three objectives
            up NSGA-III.
        objectives: names of the objectives; see `search.objectives.objectives`.
        constraints: limits by flag, such as `{min-speedup: 2, max-fd_real-increase: 0.5}`.
        margins: acceptance margins by score, if they differ from the metrics' own; see
            `evaluate.verdicts`.
        seeds: origins of the initial strategies; runs of 0.1 have them by this name.
        reference: images that distances are to: `self` (the unaccelerated model's own images at
            other seeds), a folder of images or a file of statistics; None is the bundled models'
            own.
        reference_images: number of images of `self`; by default as many as are scored.
        reference_per_class: number of files of each folder of the reference; None takes all.
        sensitivity: number of prompts on which the sensitivity of every call is measured first; 0
            measures none.
        surrogate: whether a model of the objectives chooses children.
        warm_start: strategies of earlier studies that are evaluated before those, as JSON text.
        storage: URL of the database that holds the study, without passwords; empty is the journal
            in the run's folder.
        study: name of the study in the database.
        track: names of experiment trackers, see `search.tracking`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: ModelConfig
    space: dict[str, Any]
    budget: str = "20gpuh"
    seed: int = Field(default=0, ge=0)
    images: int = Field(default=64, ge=2)
    rungs: tuple[int, ...] = ()
    heldout_images: int = Field(default=256, ge=2)
    export: int = Field(default=8, ge=1, le=100)
    population: int = Field(default=24, ge=4)
    proposer: str = Field(default="", validate_default=True)
    objectives: tuple[str, ...] = BUNDLED_OBJECTIVES
    constraints: dict[str, float] = Field(default_factory=dict)
    margins: dict[str, float] = Field(default_factory=dict)
    reference: str | None = None
    reference_images: int | None = Field(default=None, ge=2)
    reference_per_class: int | None = Field(default=None, ge=1)
    seeds: tuple[str, ...] = ORIGINS
    sensitivity: int = Field(default=0, ge=0)
    surrogate: bool = True
    warm_start: tuple[str, ...] = ()
    storage: str = ""
    study: str = Field(default=NAME, min_length=1)
    track: tuple[str, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _choose_proposer(cls, given: Any) -> Any:
        if isinstance(given, dict) and not given.get("proposer"):
            many = len(given.get("objectives") or BUNDLED_OBJECTIVES) > 2
            return given | {"proposer": "nsga3" if many else "nsga2"}
        return given

    @field_validator("proposer")
    @classmethod
    def _known_proposer(cls, name: str) -> str:
        if name not in PROPOSERS:
            there = f"{', '.join(PROPOSERS)}{did_you_mean(name, PROPOSERS)}"
            there += entry_points.left_out("proposers", name)
            raise ValueError(f"proposer {name!r} is unknown; there are {there}")
        return name

    @model_validator(mode="after")
    def _rungs(self) -> Self:
        if len(self.ladder) > 1 and PROPOSERS[self.proposer].generational:
            raise ValueError(
                f"proposer {self.proposer} goes by whole generations, between which nothing can "
                "be promoted; leave --rungs out"
            )
        return self

    @field_validator("objectives")
    @classmethod
    def _distinct(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if len(names) < 2:
            there = ", ".join(names) or "none"
            raise ValueError(
                f"objectives: {there} given, but a front needs at least two; give one more, such "
                "as --objective kid --objective latency"
            )
        if len(set(names)) < len(names):
            raise ValueError(f"objectives {', '.join(names)} name one twice; give each once")
        return names

    @field_validator("constraints")
    @classmethod
    def _parsed(cls, limits: dict[str, float]) -> dict[str, float]:
        for text, value in limits.items():
            parse_limit(text, value)
            if not math.isfinite(value):
                raise ValueError(f"{text} is {value}; give a finite number")
        return limits

    @model_validator(mode="after")
    def _known_figures(self) -> Self:
        if self.reference is None and not self.model.is_bundled:
            raise ValueError("reference is missing; give self, a folder or a .npz file")
        verdicts.check_margins(self.margins, self.metric_set.keys)
        for metric in self.metric_set.metrics:
            if metric.video and len(self.model.places) < 2:
                raise ValueError(
                    f"{metric.name} compares neighbouring frames of videos, but this model scores "
                    f"{len(self.model.places) or 'images'}; choose another score, or for a video "
                    "model at least two frames with --scored-frames"
                )
        return self

    @property
    def ladder(self) -> tuple[int, ...]:
        """The rungs, those of the default too."""
        return rungs.ladder(self.rungs, self.images, PROPOSERS[self.proposer].uses_surrogate)

    @property
    def metric_set(self) -> MetricSet:
        """Metrics that are recorded of every strategy."""
        video = len(self.model.places) > 1
        return figures_of(self.model_dump(), self.model.subject, video)

    @property
    def all_margins(self) -> dict[str, float | None]:
        """Margins of all scores that decide whether a strategy has no loss."""
        found = self.metric_set
        names = dict.fromkeys([*found.judged, *self.margins])
        return {name: self.margins.get(name, verdicts.metric_for(name).margin) for name in names}

    @field_validator("seeds", "track")
    @classmethod
    def _known(cls, names: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        named, there = ("initial", ORIGINS) if info.field_name == "seeds" else ("track", TRACKERS)
        for name in names:
            if name not in there:
                text = f"{named} {name!r} is unknown; there are {', '.join(there)}"
                raise ValueError(f"{text}{did_you_mean(name, there)}")
        return names

    def write(self, path: Path) -> None:
        """Write `config.yaml`; a kill leaves the former one or the new one."""
        write(dump_config(self.model_dump(mode="json"), path.parent), path)


def _view(reference: str | None) -> ReferenceKind:
    return "self" if reference == "self" else "real"


def resolve(
    model: ModelConfig | str, flags: dict[str, Any], family: str | None = None
) -> SearchConfig:
    """Settings of a search of a model, with the defaults of the `configs/searches/` that it names.

    Args:
        model: a config, or the name of one.
        flags: settings given on the command line; None means not given. `methods` compose the
            space in place of what it names.
        family: family of the model, if it is known; it settles the methods of the space.

    Raises:
        StrategyError: a model or space is unknown, or a setting is wrong; the error names it.
    """
    model = read_model(model) if isinstance(model, str) else model
    given = {key: value for key, value in flags.items() if value is not None}
    if "space" in given or model.space not in configs("spaces"):
        space = read_config("spaces", given.pop("space", model.space))
    else:
        space = compose.fitted(read_config("spaces", model.space), model.scheduler, model.steps)
    if "methods" in given:
        space = compose.of_methods(space, given.pop("methods"))
    for key in ("schedulers", "steps"):
        if key in given:
            space[key] = given.pop(key)
    family = family or space.get("family")
    if family is not None:
        space = compose.resolved(space, family)
    defaults = read_config("searches", model.search) if model.search else {}
    asked = named_settings(defaults | given, model.subject)
    return build_config(asked | {"model": model.model_dump(), "space": space})


def named_settings(given: dict[str, Any], subject: str | None) -> dict[str, Any]:
    """Settings with default reference and objectives, full names, and without None values."""
    found: dict[str, Any] = {key: value for key, value in given.items() if value is not None}
    found.setdefault("reference", "self" if subject is None else None)
    usual = figures.DEFAULT_OBJECTIVES if subject is None else BUNDLED_OBJECTIVES
    found.setdefault("objectives", usual)
    view = _view(found["reference"])
    found["objectives"] = [figures.full_name(name, subject, view) for name in found["objectives"]]
    limits = {}
    for text, value in found.get("constraints", {}).items():
        limit = parse_limit(text, value)
        name = figures.full_name(limit.name, subject, view)
        limits[f"{text[:4]}{name}{'-increase' if limit.relative else ''}"] = value
    margins = {figures.full_name(k, subject, view): v for k, v in found.get("margins", {}).items()}
    return found | {"constraints": limits, "margins": margins}


def figures_of(asked: Mapping[str, Any], subject: str | None, video: bool = False) -> MetricSet:
    """Metrics of the objectives, constraints and reference of named settings.

    Args:
        asked: settings.
        subject: subject of a bundled model, a value of `zoo.SUBJECTS`; None for other models.
        video: whether more than one frame of each video is scored.

    Raises:
        StrategyError: no evaluation records a name.
    """
    limits = [parse_limit(text, 0.0).name for text in asked["constraints"]]
    return MetricSet.of(asked["objectives"], limits, subject, _view(asked["reference"]), video)


def build_config(settings: dict[str, Any]) -> SearchConfig:
    """A config from its own form.

    Raises:
        StrategyError: a wrong setting; names it.
    """
    try:
        return SearchConfig.model_validate(settings)
    except ValidationError as error:
        raise StrategyError(f"search setting {explain(error)}") from None


def read_search_config(folder: Path) -> SearchConfig:
    """The config of an existing run.

    Raises:
        StrategyError: `folder` is not a run.
    """
    path = folder / "config.yaml"
    data = with_present_paths(load_config(path), folder)
    try:
        return build_config(data)
    except StrategyError as error:
        raise StrategyError(f"{path} is damaged or of another version: {error}") from None


__all__ = [
    "SearchConfig",
    "build_config",
    "figures_of",
    "named_settings",
    "read_search_config",
    "resolve",
]
