"""Declaration of a method's knobs, and the registry of these declarations.

One file per method in `strategies/methods/` subclasses `Knobs` and registers it. The behaviour is
in the file of the same name in `accel/methods/`. This side is pure data, so that strategy files can
be read, checked and written without torch.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from functools import cache, lru_cache, partial
from types import MappingProxyType
from typing import Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, model_validator

from strategies.errors import StrategyError
from strategies.plugins import entry_points
from strategies.plugins.former_names import adopt_former
from strategies.plugins.methods import why_unusable
from strategies.text import cut

Depth = int | Literal["full"]


# Former names of what a method declares.
FORMER = {
    "acts": "joint_choices",
    "costless": "free_knobs",
    "deeds": "shown_values",
    "marks": "call_list_knobs",
    "narrows": "runs_token_subset",
    "places": "call_index_knobs",
}


class Knobs(BaseModel):
    """Knobs of one method over a whole generation.

    Subclasses name their per-call knobs in `per_call`; such a field is a tuple with one value for
    each call. A file may give one value instead, which then holds for every call. `neutral` has the
    value of each per-call knob that changes nothing.

    `reduces_tokens` marks methods that take tokens out of self-attention: only one of them can act
    at a call. `runs_token_subset` marks methods that leave tokens out of the whole network: a
    strategy has at most one of them. `free_knobs` names knobs that take almost no time, so that
    latency need not be measured for each. `call_index_knobs` has the knobs that name a call, with
    the first call they can name. `call_list_knobs` has the knobs that list calls; a space searches
    them as a yes or no for each call.

    A method declares its search choices in `choices` by knob, if knobs are searched separately. It
    declares them in `joint_choices`, rows of per-call knobs that belong together, if at most one of
    several methods can act at a call or in a generation. The first of `choices` does nothing.
    `shown_values` names everything that `at` may show for a method whose choices all hold for a
    whole generation. `graded` says that these differ in strength only, which the latency table
    uses. `adaptive` says that the time of a call depends on the images, so that it is measured for
    every strategy.
    `solvers` names the only solvers that it works with, in the short form; none means any.

    A method of another package says in `sampler` where its behaviour is, as `module:function` with
    the signature of `accel.method.Attach`. It is attached before the methods of Stratagem, so that
    these wrap it, or after those that it names in `wraps`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, defer_build=True)

    method: ClassVar[str]
    paper: ClassVar[str]
    families: ClassVar[tuple[str, ...]]
    per_call: ClassVar[tuple[str, ...]]
    neutral: ClassVar[dict[str, Any]]
    reduces_tokens: ClassVar[bool] = False
    runs_token_subset: ClassVar[bool] = False
    free_knobs: ClassVar[tuple[str, ...]] = ()
    call_index_knobs: ClassVar[Mapping[str, int]] = {}
    call_list_knobs: ClassVar[tuple[str, ...]] = ()
    choices: ClassVar[Mapping[str, tuple[Any, ...]]] = {}
    joint_choices: ClassVar[tuple[Mapping[str, Any], ...]] = ()
    graded: ClassVar[bool] = False
    shown_values: ClassVar[tuple[str, ...]] = ()
    adaptive: ClassVar[bool] = False
    solvers: ClassVar[tuple[str, ...]] = ()
    sampler: ClassVar[str] = ""
    wraps: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def __pydantic_init_subclass__(cls, **_: Any) -> None:
        adopt_former(cls, FORMER)

    @model_validator(mode="before")
    @classmethod
    def _fill_in(cls, given: Any) -> Any:
        """Give per-call knobs that are missing their neutral value at every call."""
        if not isinstance(given, Mapping):
            return given
        absent = [n for n in _defaulted(cls) if n not in given]
        if not absent:
            return dict(given)
        lists = (given.get(n) for n in cls.per_call)
        calls = next((len(one) for one in lists if isinstance(one, list | tuple)), 0)
        return dict(given) | {name: (cls.neutral[name],) * calls for name in absent}

    @abstractmethod
    def is_neutral(self) -> bool:
        """Whether applying these knobs changes nothing."""

    def check(self, calls: int) -> None:
        """Refuse values that do not fit a generation of `calls` calls; lengths of lists are checked
        elsewhere.

        Raises:
            ValueError: a value does not fit; names the knob, the value and the limit.
        """

    def check_beside(self, methods: Mapping[str, Knobs]) -> None:
        """Raise a `StrategyError` if a method of the same strategy does not go with this one."""

    def canonical(self, calls: int, depths: tuple[Depth, ...] | None) -> Knobs:
        """Equivalent knobs in normal form: values without effect are neutral.

        Args:
            calls: number of calls of the generation.
            depths: cache depth at each call if a caching method is in the same strategy.
        """
        return self

    def both(self, calls: int) -> tuple[bool, ...] | None:
        """Whether both halves of guidance run, for each call; None if the method does not decide
        it.
        """
        return None

    def whole(self, calls: int) -> tuple[bool, ...] | None:
        """Flags of calls at which all blocks run; None for methods that leave no stretch out."""
        return None

    def beside(self, methods: Mapping[str, Knobs], calls: int) -> Knobs:
        """The same knobs in a strategy with these methods, some of which may limit them."""
        return self

    def caught_up(self, both: tuple[bool, ...]) -> Knobs:
        """The same knobs if the unconditional half of guidance is left out at some calls.

        A method that keeps results computes them at the first call with both halves after one that
        computed them for one half alone.

        Args:
            both: whether both halves run at each call.
        """
        return self

    def shortened(self, whole: tuple[bool, ...]) -> Knobs:
        """The same where some calls leave a stretch of blocks out.

        A method that keeps something of every block computes it at the first whole call after one
        at which it would have been computed but for that.

        Args:
            whole: whether all blocks run at a call.
        """
        return self

    @classmethod
    def sound(cls, knob: str, values: Sequence[Any]) -> list[Any]:
        """Choices of a per-call knob over the calls of a genome, in a form that a strategy
        allows.
        """
        return list(values)

    def take(self, indices: list[int]) -> Knobs:
        """Knobs for other calls: new call `i` does what call `indices[i]` did."""
        lists = {name: [getattr(self, name)[i] for i in indices] for name in self.per_call}
        return type(self)(**(self.model_dump() | lists))

    def resample(self, indices: list[int]) -> Knobs:
        """Knobs for another number of calls; like `take`, but schedules keep their density."""
        return self.take(indices)

    def at(self, call: int) -> Mapping[str, Any]:
        """Knobs in force at one call; empty if the method does nothing there."""
        lists, own = self.per_call, vars(self)
        now = tuple([v[call] if k in lists else v for k, v in own.items()])
        return _shown(type(self), tuple(own), now)

    def cost(self, call: int) -> Mapping[str, Any]:
        """Part of `at` that decides how long the call takes."""
        return {name: v for name, v in self.at(call).items() if name not in self.free_knobs}

    @classmethod
    def starts(cls, calls: int) -> list[Self]:
        """Settings that a search evaluates first, such as those of the paper."""
        return []

    def read(self, call: int) -> Mapping[str, Any]:
        """Per-call knobs that decide one call of the canonical form.

        A knob that lists calls has the value whether this call is in the list.
        """
        return {name: getattr(self, name)[call] for name in self.per_call}

    def compact(self) -> dict[str, Any]:
        """JSON form, with a per-call list of one repeated value written as that value.

        A value that is a list itself stays in its list: alone it would read as one value per call.
        """
        data = self.model_dump(mode="json")
        for name in self.per_call:
            first = data[name][0] if data[name] else []
            if not isinstance(first, list) and all(value == first for value in data[name]):
                data[name] = first
        return data


@cache
def _defaulted(kind: type[Knobs]) -> tuple[str, ...]:
    """Per-call knobs that may be left out."""
    return tuple(n for n in kind.per_call if not kind.model_fields[n].is_required())


@lru_cache(maxsize=4096)
def _shown(kind: type[Knobs], names: tuple[str, ...], now: tuple[Any, ...]) -> Mapping[str, Any]:
    """Knobs shown for a single call; cached, since a search asks for the same few all the time."""
    given = dict(zip(names, now, strict=True))
    knobs = kind(**{k: (v,) if k in kind.per_call else v for k, v in given.items()})
    if knobs.is_neutral():
        return MappingProxyType({})
    values = {k: v[0] if k in kind.per_call else v for k, v in knobs.model_dump().items()}
    shown = {k: v for k, v in values.items() if k not in kind.per_call or v != kind.neutral[k]}
    return MappingProxyType(shown)


_REGISTRY: dict[str, type[Knobs]] = {}


def register(kind: type[Knobs]) -> type[Knobs]:
    """Class decorator that makes a method known under its name.

    Raises:
        StrategyError: the name is taken.
    """
    if kind.method in _REGISTRY:
        raise StrategyError(f"two methods are called {kind.method!r}; rename one of them")
    _REGISTRY[kind.method] = kind
    registered_methods.cache_clear()
    return kind


@cache
def registered_methods() -> Mapping[str, type[Knobs]]:
    """Every method's knobs by name, sorted: registered ones and those of other packages."""
    found = {**_REGISTRY, **entry_points.added("methods", partial(why_unusable, Knobs), _REGISTRY)}
    return MappingProxyType(dict(sorted(found.items())))


def check_names(given: Mapping[Any, Any], kind: type[BaseModel], prefix: str) -> None:
    """Refuse the first field that a record does not have, at once however many there are.

    Raises:
        StrategyError: a field is unknown; names it.
    """
    fields = kind.model_fields
    aliases = {field.alias for field in fields.values()}
    for name in given:
        if name not in fields and name not in aliases:
            raise StrategyError(
                f"{prefix}{cut(str(name))} is an unknown field; remove it or upgrade "
                "diffusion-stratagem"
            )


def expand(kind: type[Knobs], given: Mapping[str, Any], calls: int) -> dict[str, Any]:
    """Per-call knobs as lists of `calls` values, in whatever form the file gives them.

    Raises:
        StrategyError: a list of another length.
    """
    full = {name: kind.neutral[name] for name in _defaulted(kind)} | dict(given)
    for name in kind.per_call:
        if name not in full:
            continue
        value = full[name]
        if not isinstance(value, list | tuple):
            full[name] = [value] * calls
        elif len(value) != calls:
            raise StrategyError(
                f"methods.{kind.method}.{name} has {len(value)} values, but the strategy makes "
                f"{calls} calls; give {calls} values, or one value for all calls"
            )
    return full
