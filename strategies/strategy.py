"""The `Strategy` record: the acts of every method at every call of a generation."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import cached_property
from typing import Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializeAsAny,
    StrictInt,
    ValidationError,
    ValidationInfo,
    field_serializer,
    field_validator,
    model_validator,
)

from strategies import halves
from strategies.data_files import reading
from strategies.data_files.limits import MAX_CALLS, MAX_STEPS
from strategies.errors import StrategyError
from strategies.knobs import Depth, Knobs, check_names
from strategies.method_reading import read_method
from strategies.methods import pairs
from strategies.plugins.families import check_known
from strategies.solver_settings import NONE, SolverSettings, name_of, split_up
from strategies.solvers import calls_of
from strategies.text import brief
from strategies.words import explain

SCHEMA: Literal[1] = 1
SCORED = "scored"  # Key in the provenance: digest of the scored strategy.


class Strategy(BaseModel):
    """An acceleration strategy. Immutable; equal files give equal records.

    Attributes:
        version: version of the file format, `schema` in JSON.
        name: name for people; not part of the strategy's identity.
        family: kind of denoiser it is for.
        scheduler: diffusers' class name of the solver; also read in the short form of spaces.
        solver: settings of the solver that decide its steps.
        steps: number of steps to pass as `num_inference_steps`.
        calls: forward passes of the denoiser in a generation of the full schedule.
        methods: knobs by method name.
        scores, baseline, provenance: measurements of this strategy and of the unaccelerated
            pipeline, and their conditions; free JSON without NaN.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", populate_by_name=True, allow_inf_nan=False
    )

    version: Literal[1] = Field(default=SCHEMA, alias="schema")
    name: str = Field(default="", max_length=200)
    family: str
    scheduler: str = Field(min_length=1, max_length=100)
    solver: SolverSettings = NONE
    steps: StrictInt = Field(ge=1, le=MAX_STEPS)
    calls: StrictInt = Field(ge=1, le=MAX_CALLS)
    methods: Mapping[str, SerializeAsAny[Knobs]] = Field(default_factory=dict)
    scores: dict[str, Any] = Field(default_factory=dict)
    baseline: dict[str, Any] = Field(default_factory=dict)
    provenance: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _read(cls, given: Any) -> Any:
        if not isinstance(given, Mapping):
            raise StrategyError(f"a strategy is a JSON object, not {type(given).__name__}")
        given = dict(given)
        check_names(given, cls, "")
        version = given.get("schema", given.get("version", SCHEMA))
        if isinstance(version, bool):
            raise StrategyError(f"schema is {version}; it must be {SCHEMA}")
        if isinstance(version, int) and version > SCHEMA:
            raise StrategyError(
                f"schema is {version}, but this version of Stratagem reads up to {SCHEMA}; "
                "upgrade diffusion-stratagem"
            )
        given |= split_up(given.get("scheduler"), given.get("solver"))
        family, calls, methods = given.get("family"), given.get("calls"), given.get("methods", {})
        if isinstance(family, str):
            check_known(family)
        for field, kind in (("family", str), ("calls", int)):
            value = given.get(field, kind())
            if not isinstance(value, kind) or isinstance(value, bool):
                what = "text" if kind is str else "a whole number"
                raise StrategyError(f"{field} is {brief(value)}; it must be {what}")
        if calls is not None and not 1 <= calls <= MAX_CALLS:
            raise StrategyError(f"calls is {brief(calls)}; allowed are 1 to {MAX_CALLS}")
        if family is None or calls is None:
            given.pop("methods", None)  # Another field is missing; methods cannot be read.
        elif isinstance(methods, Mapping):
            given["methods"] = {
                name: read_method(name, knobs, calls, family) for name, knobs in methods.items()
            }
        return given

    @model_validator(mode="after")
    def _solver_takes(self) -> Self:
        self.solver.check(self.scheduler, self.steps)
        return self

    @model_validator(mode="after")
    def _go_together(self) -> Self:
        pairs.check_pairs(self.methods, self.calls)
        return self

    @field_validator("scheduler")
    @classmethod
    def _is_name(cls, value: str) -> str:
        if not value.isprintable() or " " in value:
            raise StrategyError(f"scheduler is {brief(value)}; give the class name of a solver")
        return value

    @field_validator("scores", "baseline", "provenance")
    @classmethod
    def _storable(cls, value: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
        reading.check_data(value, ((), info.field_name))
        return value

    @field_serializer("methods")
    def _write_methods(self, methods: Mapping[str, Knobs]) -> dict[str, Any]:
        return {name: knobs.compact() for name, knobs in sorted(methods.items())}

    @classmethod
    def create(cls, **fields: Any) -> Self:
        """Build and check a strategy.

        Raises:
            StrategyError: a field is refused; names it, what was given and what is allowed.
        """
        return cls.read(fields)

    @classmethod
    def read(cls, data: Any) -> Self:
        """Check a strategy in its JSON form.

        Raises:
            StrategyError: a field is refused; names it, what was given and what is allowed.
        """
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            raise StrategyError(explain(error)) from None

    def to_json(self) -> dict[str, Any]:
        """The JSON form, in the file format's order."""
        data = self.model_dump(mode="json", by_alias=True)
        data["solver"] = self.solver.given()
        if not data["solver"]:
            del data["solver"]  # Older versions wrote files without it.
        return data

    @property
    def solver_text(self) -> str:
        """The solver with its settings in the short form, as spaces and tables name it."""
        return self.scheduler + self.solver.text

    @property
    def short_solver(self) -> str:
        """The solver as labels and tables for people show it, such as `DPMSolver(order=3)`."""
        return self.solver_text.replace("Scheduler", "").replace("Multistep", "")

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """A copy with some fields replaced, unchecked; its digest is its own."""
        copied = super().model_copy(update=update, deep=deep)
        for derived in ("digest", "_normal", "_kinds"):
            vars(copied).pop(derived, None)
        return copied

    @property
    def depths(self) -> tuple[Depth, ...] | None:
        """Cache depth per call if the strategy caches."""
        knobs = self.methods.get("deepcache")
        return None if knobs is None else getattr(knobs.canonical(self.calls, None), "depth", None)

    @property
    def is_adaptive(self) -> bool:
        """Whether the time of a call depends on the images, so that the calls are of no kind."""
        return any(knobs.adaptive for knobs in self.canonical().methods.values())

    def kinds(self) -> tuple[str, ...]:
        """Kind of each call, as text; calls of one kind take the same time.

        Neutral is the empty text. Kinds come from the canonical form, so values without effect make
        none. Where the time of a call depends on the images, every call is a kind of its own.
        """
        return self._kinds

    @cached_property
    def _kinds(self) -> tuple[str, ...]:
        methods = sorted(self.canonical().methods.items())
        rows = []
        for call in range(self.calls):
            parts = [
                f"{name}.{knob}={value}"
                for name, knobs in methods
                for knob, value in knobs.cost(call).items()
            ]
            rows.append(" ".join(parts))
        if self.is_adaptive:
            return tuple(f"{row} call={call} of={self.digest}" for call, row in enumerate(rows))
        return tuple(rows)

    def canonical(self) -> Strategy:
        """The normal form: values without effect are neutral, neutral methods are left out."""
        return self._normal or self

    @cached_property
    def _normal(self) -> Strategy | None:
        """The normal form, or None if the strategy is known to be its own."""
        given = halves.settled(self.methods, self.calls)
        if "deepcache" in given:
            given["deepcache"] = given["deepcache"].canonical(self.calls, None)
        depths = getattr(given.get("deepcache"), "depth", None)
        alive = {
            n: k if n == "deepcache" else k.canonical(self.calls, depths) for n, k in given.items()
        }
        methods = {n: k for n, k in alive.items() if not k.is_neutral()}
        normal = self.model_copy(update={"methods": methods})
        vars(normal)["_normal"] = None
        return normal

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the strategy's behaviour; equal for strategies that mean the same."""
        form = self.canonical().to_json()
        names = ("family", "scheduler", "solver", "steps", "calls", "methods")
        identity = {k: form[k] for k in names if k in form}
        text = json.dumps(identity, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    def resample(
        self, calls: int | None = None, steps: int | None = None, scheduler: str | None = None
    ) -> Strategy:
        """The strategy for another number of calls, by normalised time.

        New call `i` of `n` does what the old call at the same share of the generation did. Scores
        are dropped, since they were measured on something else.

        Args:
            calls: calls of the new schedule; by default those that the solver makes with `steps`,
                or the same difference to `steps` as now for an unknown solver.
            steps: steps of the new schedule; by default the same difference to `calls` as now.
            scheduler: another solver, in its short form if it has settings.

        Raises:
            StrategyError: no positive number of calls, or another solver's calls are not known.
        """
        if calls is None:
            steps = self.steps if steps is None else steps
            calls = self._calls(steps, scheduler or self.scheduler)
        if steps is None:
            steps = calls - (self.calls - self.steps)
        if not (1 <= calls <= MAX_CALLS and 1 <= steps <= MAX_STEPS):
            raise StrategyError(
                f"cannot resample to {brief(calls)} calls and {brief(steps)} steps; need 1 each, "
                f"and at most {MAX_CALLS} calls and {MAX_STEPS} steps"
            )
        indices = [
            min(self.calls - 1, (2 * i + 1) * self.calls // (2 * calls)) for i in range(calls)
        ]
        fields = self.to_json() | {
            "calls": calls,
            "steps": steps,
            "scheduler": scheduler or self.scheduler,
            "solver": {} if scheduler else self.solver.resampled(steps).given(),
            "methods": {n: k.resample(indices).compact() for n, k in self.methods.items()},
            "scores": {},
            "baseline": {},
            "provenance": {k: v for k, v in self.provenance.items() if k != SCORED},
        }
        return Strategy.create(**fields)

    def _calls(self, steps: int, scheduler: str) -> int:
        """Number of calls that so many steps make, with the same solver or another."""
        made = calls_of(scheduler, steps)
        if name_of(scheduler) == self.scheduler and (
            made is None or calls_of(scheduler, self.steps) != self.calls
        ):
            return steps + self.calls - self.steps
        if made is None:
            raise StrategyError(
                f"scheduler is {scheduler!r}, of which it is not known how many calls {steps} "
                "steps make; give calls as well"
            )
        return made
