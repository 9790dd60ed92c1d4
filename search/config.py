"""The settings of a search, from defaults, a YAML file in `configs/searches/` and the flags."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any, Self

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from accel import schedulers
from accel.models import ModelConfig, configs, read_config, read_model
from search import rungs
from search.goals import DEFAULT, parse_limit
from search.proposers import SOURCES
from search.seeds import ORIGINS
from strategies import Gene, SearchSpace, StrategyError
from strategies.strategy import explain


class SearchConfig(BaseModel):
    """Everything that decides a search; written to `config.yaml`.

    Attributes:
        model: the resolved model config.
        space: the resolved space, as in `configs/spaces/`.
        budget: see `search.budget`.
        seed: of every random draw of the search.
        workers: 0 runs in this process, otherwise so many Ray actors, at most.
        gpus_per_worker: below 1 several workers share a GPU; on a CPU it says nothing.
        cpus_per_worker: cores for each, and threads where it runs on a CPU.
        address: of a Ray cluster, `auto` or `host:port`; empty starts Ray on this machine.
        timeout: seconds after which a candidate is given up; None is ten times what its number of
            calls and images lets expect, and a minute at least.
        images: per evaluation, prompts of the search split.
        rungs: numbers of images on which candidates are scored one after the other, ending with
            `images`; empty is that alone.
        heldout_images: per exported strategy and baseline, prompts of the held-out split.
        export: strategies on the exported front, at most.
        population: parents, where the proposer has no published number of its own.
        proposer: a name in `search.proposers.SOURCES`; by default NSGA-II, from three objectives
            up NSGA-III.
        objectives: names of figures; see `search.goals`.
        constraints: limits by flag, such as `{min-speedup: 2, max-fd_real-increase: 0.5}`.
        seeds: origins of what is evaluated first.
        sensitivity: prompts on which every call's sensitivity is measured first; 0 measures none.
        warm_start: strategies of earlier studies to evaluate before those, as JSON text.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: ModelConfig
    space: dict[str, Any]
    budget: str = "12m"
    seed: int = Field(default=0, ge=0)
    workers: int = Field(default=2, ge=0, le=1024)
    gpus_per_worker: float = Field(default=1.0, gt=0)
    cpus_per_worker: int = Field(default=1, ge=1)
    address: str = ""
    timeout: float | None = Field(default=None, gt=0)
    images: int = Field(default=32, ge=2)
    rungs: tuple[int, ...] = ()
    heldout_images: int = Field(default=128, ge=2)
    export: int = Field(default=8, ge=1, le=100)
    population: int = Field(default=24, ge=4)
    proposer: str = Field(default="", validate_default=True)
    objectives: tuple[str, ...] = Field(default=DEFAULT, min_length=2)
    constraints: dict[str, float] = Field(default_factory=dict)
    seeds: tuple[str, ...] = ORIGINS
    sensitivity: int = Field(default=0, ge=0)
    warm_start: tuple[str, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _choose_proposer(cls, given: Any) -> Any:
        if isinstance(given, dict) and not given.get("proposer"):
            many = len(given.get("objectives") or DEFAULT) > 2
            return given | {"proposer": "nsga3" if many else "nsga2"}
        return given

    @field_validator("proposer")
    @classmethod
    def _known_proposer(cls, name: str) -> str:
        if name not in SOURCES:
            raise ValueError(f"proposer {name!r} is unknown; there are {', '.join(SOURCES)}")
        return name

    @model_validator(mode="after")
    def _rungs(self) -> Self:
        ladder = rungs.check(self.rungs, self.images)
        if len(ladder) > 1 and SOURCES[self.proposer].generational:
            raise ValueError(
                f"proposer {self.proposer} goes by whole generations, between which nothing can "
                "be promoted; leave --rungs out"
            )
        return self

    @field_validator("gpus_per_worker")
    @classmethod
    def _whole_or_shared(cls, share: float) -> float:
        if share > 1 and share != int(share):
            raise ValueError(f"gpus_per_worker is {share:g}; give a share up to 1, or whole GPUs")
        return share

    @field_validator("address")
    @classmethod
    def _address(cls, text: str) -> str:
        if text and text != "auto" and not re.fullmatch(r"[^\s/:]+:\d+", text):
            raise ValueError(f"address {text!r} is not understood; give auto or host:port")
        return text

    @model_validator(mode="after")
    def _cluster(self) -> Self:
        if self.address and not self.workers:
            raise ValueError("address names a cluster, but 0 workers run in this process")
        return self

    @field_validator("objectives")
    @classmethod
    def _distinct(cls, names: tuple[str, ...]) -> tuple[str, ...]:
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

    @field_validator("seeds")
    @classmethod
    def _known_seeds(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            if name not in ORIGINS:
                raise ValueError(f"seeds {name!r} are unknown; there are {', '.join(ORIGINS)}")
        return names

    def write(self, path: Path) -> None:
        """Write `config.yaml`."""
        text = yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False)
        path.write_text(text, encoding="utf-8")


def resolve(name: str, flags: dict[str, Any]) -> SearchConfig:
    """A search of model `name`: defaults of `configs/searches/<name>.yaml` where there is one.

    Args:
        flags: settings given on the command line; None means not given.

    Raises:
        StrategyError: an unknown model or space, or a wrong setting; names it.
    """
    model = read_model(name)
    given = {key: value for key, value in flags.items() if value is not None}
    space = read_config("spaces", given.pop("space", model.space))
    for key in ("schedulers", "steps"):
        if key in given:
            space[key] = given.pop(key)
    defaults = read_config("searches", model.name) if model.name in configs("searches") else {}
    return build(defaults | given | {"model": model.model_dump(), "space": space})


def build(settings: dict[str, Any]) -> SearchConfig:
    """A config from its own form.

    Raises:
        StrategyError: a wrong setting; names it.
    """
    try:
        return SearchConfig.model_validate(settings)
    except ValidationError as error:
        raise StrategyError(f"search setting {explain(error)}") from None


def read(folder: Path) -> SearchConfig:
    """The config of an existing run.

    Raises:
        StrategyError: `folder` is not a run.
    """
    path = folder / "config.yaml"
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise StrategyError(f"{folder} is not a run's folder: {path.name}: {error}") from None
    if not isinstance(data, dict):
        raise StrategyError(f"{path} does not hold a search's settings")
    return build(data)


def make_space(settings: dict[str, Any], family: str, scheduler: Any) -> SearchSpace:
    """The space of a config, for a family and a scheduler's noise schedule.

    Args:
        scheduler: of the pipeline; tells how many calls each solver makes.

    Raises:
        StrategyError: a missing or wrong entry.
    """
    try:
        solvers, steps, knobs = settings["schedulers"], settings["steps"], settings["knobs"]
    except KeyError as error:
        raise StrategyError(
            f"the space lacks {error}; it needs schedulers, steps and knobs"
        ) from None
    unknown = sorted(set(settings) - {"schedulers", "steps", "knobs", "fixed"})
    if unknown:
        raise StrategyError(f"the space has an unknown entry {unknown[0]!r}")
    lists = [solvers, steps, *(knobs.values() if isinstance(knobs, dict) else [None])]
    if not all(isinstance(entry, list) and entry for entry in lists):
        raise StrategyError(
            "the space's schedulers, steps and each knob's choices must be lists that are not "
            "empty, and knobs a mapping such as {deepcache.depth: [full, 0, 1]}"
        )
    if any(not isinstance(n, int) or n < 1 for n in steps):
        raise StrategyError(f"the space's steps must be whole numbers from 1, not {steps}")
    calls = {(s, n): schedulers.count_calls(scheduler, s, n) for s in solvers for n in steps}
    genes = []
    for name, choices in knobs.items():
        method, _, knob = name.partition(".")
        genes.append(Gene(method, knob, tuple(choices)))
    return SearchSpace(family, solvers, sorted(steps), calls, genes, settings.get("fixed"))
