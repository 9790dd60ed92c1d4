"""Plan of a generation, read from a strategy file: what every call does, as far as ComfyUI can.

ComfyUI runs networks of its own. A wrapper can leave out a whole call, or one half of guidance, and
a transformer's blocks can be replaced. Everything else of a strategy is refused by name.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

FAMILIES = ("unet", "dit", "mmdit", "transformer")
METHODS = ("deepcache", "deltacache", "guidance")
MODES = ("full", "off", "reuse")
LARGEST = 1_000_000  # Bytes of a file.


class PlanError(ValueError):
    """A strategy that cannot be used here; the message names the part."""


@dataclass(frozen=True)
class Call:
    """One call of the network.

    Attributes:
        skip: the network does not run, and the prediction is made from earlier ones.
        front, tail: blocks that run before and after those that are left out; a front of None runs
            all blocks.
        order: order of extrapolation of what is reused.
        mode: `full`, `off` or `reuse`: both halves of guidance, the one with the prompt alone, or
            that one with a difference that was kept.
        weight: factor on that difference.
        guidance_order: order of extrapolation of that difference.
    """

    skip: bool = False
    front: int | None = None
    tail: int = 0
    order: int = 0
    mode: str = "full"
    weight: float = 1.0
    guidance_order: int = 0

    @property
    def whole(self) -> bool:
        """Whether all blocks run."""
        return not self.skip and self.front is None


@dataclass(frozen=True)
class Plan:
    """What a strategy does at every call.

    Attributes:
        name: name of the strategy.
        family: family of networks that it is for.
        steps: number of steps to set in the sampler.
        solver: diffusers' name of the solver that it was found with.
        calls: the calls.
    """

    name: str
    family: str
    steps: int
    solver: str
    calls: tuple[Call, ...]

    @property
    def skips(self) -> bool:
        """Whether any call is left out, so that a prediction is repeated."""
        return any(call.skip for call in self.calls)

    @property
    def stretches(self) -> set[tuple[int, int]]:
        """Fronts and tails of the calls that leave blocks out."""
        return {(call.front, call.tail) for call in self.calls if call.front is not None}

    @property
    def size(self) -> int:
        """Number of calls whose results are read at once."""
        return 1 + max(call.order for call in self.calls)

    @property
    def guidance_size(self) -> int:
        """Number of calls whose differences of the halves are read at once."""
        return 1 + max(call.guidance_order for call in self.calls)

    @property
    def guides(self) -> bool:
        """Whether guidance is changed at any call."""
        return any(call.mode != "full" for call in self.calls)


def read(path: Path) -> Plan:
    """Plan of a strategy file.

    Raises:
        PlanError: the file cannot be read, or ComfyUI cannot express a part of it.
    """
    try:
        if path.stat().st_size > LARGEST:
            raise PlanError(f"{path}: larger than {LARGEST} bytes; give a strategy file")
        data = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise PlanError(f"{path}: {error.strerror}; give the path of a strategy file") from None
    except ValueError as error:
        raise PlanError(f"{path}: not JSON ({error}); give a strategy file") from None
    try:
        return parse(data)
    except PlanError as error:
        raise PlanError(f"{path}: {error}") from None


def parse(data: object) -> Plan:
    """Plan of a strategy in its JSON form.

    Raises:
        PlanError: it is no strategy, or ComfyUI cannot express a part of it.
    """
    if not isinstance(data, dict):
        raise PlanError("a strategy is a JSON object")
    if data.get("schema", 1) != 1:
        raise PlanError(f"schema is {data['schema']!r}; this node reads 1")
    count, steps = _whole(data, "calls"), _whole(data, "steps")
    if data.get("family") not in FAMILIES:
        raise PlanError(f"family is {data.get('family')!r}; this node knows {', '.join(FAMILIES)}")
    methods = data.get("methods", {})
    if not isinstance(methods, dict):
        raise PlanError("methods must be an object")
    others = [f"methods.{name}" for name in methods if name not in METHODS]
    if others:
        raise PlanError(
            f"ComfyUI cannot express {' and '.join(others)}; it can express {', '.join(METHODS)}"
        )
    if count != steps:
        raise PlanError(
            f"it makes {count} calls in {steps} steps; ComfyUI's samplers with one call for each "
            "step are supported"
        )
    reuse = [Call()] * count
    if "deepcache" in methods:
        reuse = _deepcache(_knobs(methods, "deepcache", count, depth="full", order=0))
    if "deltacache" in methods:
        reuse = _deltacache(_knobs(methods, "deltacache", count, depth="full", tail=0, order=0))
    guided = _guidance(methods, count)
    calls = _caught_up(reuse, [mode == "full" for mode, _, _ in guided])
    made = tuple(
        Call(one.skip, one.front, one.tail, one.order, mode, weight, order)
        for one, (mode, weight, order) in zip(calls, guided, strict=True)
    )
    return Plan(str(data.get("name", "")), data["family"], steps, str(data["scheduler"]), made)


def _whole(data: dict, name: str) -> int:
    value = data.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= 10_000:
        raise PlanError(f"{name} is {value!r}; it must be a whole number from 1")
    return value


def _knobs(methods: dict, method: str, count: int, **known: object) -> dict[str, list]:
    """Per-call settings of a method as lists; others are refused unless they change nothing."""
    given = methods[method]
    if not isinstance(given, dict):
        raise PlanError(f"methods.{method} must be an object")
    for name in given:
        if name not in known:
            raise PlanError(f"ComfyUI cannot express methods.{method}.{name}")
    found = {}
    for name, neutral in known.items():
        value = given.get(name, neutral)
        found[name] = list(value) if isinstance(value, list) else [value] * count
        if len(found[name]) != count:
            raise PlanError(f"methods.{method}.{name} has {len(found[name])} values, not {count}")
    return found


def _deepcache(knobs: dict[str, list]) -> list[Call]:
    made = [Call()]
    for call, (depth, order) in enumerate(zip(knobs["depth"], knobs["order"], strict=True)):
        if depth not in ("full", 0):
            raise PlanError(
                f"ComfyUI cannot express methods.deepcache.depth[{call}], which is {depth!r}: its "
                'UNets run all of their levels or none; it can express "full" and 0'
            )
        if call > 0:
            made.append(Call() if depth == "full" else Call(skip=True, order=_order(order, call)))
    return made


def _deltacache(knobs: dict[str, list]) -> list[Call]:
    made = [Call()]
    rows = zip(knobs["depth"], knobs["tail"], knobs["order"], strict=True)
    for call, (depth, tail, order) in enumerate(rows):
        if depth == "full":
            now = Call()
        elif depth == "skip":
            now = Call(skip=True, order=_order(order, call))
        elif _is_count(depth) and _is_count(tail):
            now = Call(front=depth, tail=tail, order=_order(order, call))
        else:
            raise PlanError(
                f"methods.deltacache has depth {depth!r} and tail {tail!r} at call {call}; give "
                'numbers of blocks, "full" or "skip"'
            )
        if call > 0:
            made.append(now)
    return made


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _order(value: object, call: int) -> int:
    if value not in (0, 1, 2) or isinstance(value, bool):
        raise PlanError(f"order is {value!r} at call {call}; it must be 0, 1 or 2")
    return int(value)


def _guidance(methods: dict, count: int) -> list[tuple[str, float, int]]:
    """Mode, weight and order of each call."""
    if "guidance" not in methods:
        return [("full", 1.0, 0)] * count
    given = dict(methods["guidance"])
    fade = given.pop("fade", 1.0)
    for name in ("early", "middle", "late"):
        if given.pop(name, 1.0) != 1:
            raise PlanError(
                f"ComfyUI cannot express methods.guidance.{name} other than 1: a wrapper is not "
                "told the strength of guidance"
            )
    knobs = _knobs(
        methods | {"guidance": given}, "guidance", count,
        mode="full", scale=1.0, order=0, weight=1.0,
    )  # fmt: skip
    found, since = [], None
    for call in range(count):
        mode, scale = knobs["mode"][call], knobs["scale"][call]
        if mode not in MODES:
            raise PlanError(f"methods.guidance.mode[{call}] is {mode!r}; give {', '.join(MODES)}")
        if scale != 1 and mode != "off":
            raise PlanError(
                f"ComfyUI cannot express methods.guidance.scale[{call}], which is {scale}: a "
                "wrapper is not told the strength of guidance; it can express 1"
            )
        if mode == "reuse" and since is None:
            raise PlanError(f"methods.guidance.mode[{call}] reuses before any call was full")
        since = call if mode == "full" else since
        weight = float(knobs["weight"][call])
        if mode == "reuse" and since is not None:
            weight *= float(fade) ** (call - since)
        found.append((mode, weight, _order(knobs["order"][call], call)))
    return found


def _caught_up(calls: list[Call], both: list[bool]) -> list[Call]:
    """The calls, where one half of guidance has computed something that the other half lacks.

    The next call with both halves then computes it for both, as in Stratagem's sampler.
    """
    made, blocks_behind, prediction_behind = [], False, False
    for one, together in zip(calls, both, strict=True):
        now = one
        if together and ((blocks_behind and not one.whole) or (prediction_behind and one.skip)):
            now = Call()
        if now.whole:
            blocks_behind = not together
        if not now.skip:
            prediction_behind = not together
        made.append(now)
    return made
