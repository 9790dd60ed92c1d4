"""Description of a strategy, in words and as plain data, as `python -m strategies` shows it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from strategies.knobs import Knobs
from strategies.plugins.families import families_of
from strategies.strategy import Strategy
from strategies.text import cut, plain

NOTHING = "unaccelerated"
ABSENT = object()  # Stands for free JSON that is not there, as None is a value.
PLAIN = (str, int, float, bool)
MANY = 4  # Up to so many distinct values are listed in a summary, more are reduced to a range.


@dataclass(frozen=True)
class Span:
    """Consecutive calls with the same acts of every method.

    Attributes:
        first, last: first and last call, both included.
        acts: acts by method; methods without an act are absent.
    """

    first: int
    last: int
    acts: Mapping[str, Mapping[str, Any]]

    def __str__(self) -> str:
        return span(self.first, self.last)


Row = tuple[str, str, str]


def span(first: int, last: int) -> str:
    """A range of calls: "7" or "7-9"."""
    return str(first) if first == last else f"{first}-{last}"


def ranges(calls: Iterable[int]) -> str:
    """Ascending call numbers with consecutive ones joined: "0, 5-7"."""
    runs = [[n for _, n in run] for _, run in groupby(enumerate(calls), lambda p: p[1] - p[0])]
    return ", ".join(span(run[0], run[-1]) for run in runs) or "none"


def settings(knobs: Knobs, changed: bool = False) -> dict[str, Any]:
    """The knobs that hold for the whole generation; with `changed`, only those not at default."""
    fields = type(knobs).model_fields
    return {
        name: getattr(knobs, name)
        for name, field in fields.items()
        if name not in knobs.per_call and not (changed and getattr(knobs, name) == field.default)
    }


def flat_knobs(knobs: Knobs) -> dict[str, str]:
    """`settings` as text, with one entry for each item of a knob that is a mapping."""
    found: dict[str, str] = {}
    for name, value in settings(knobs).items():
        items = value.items() if isinstance(value, dict) else [("", value)]
        found |= {f"{name}.{plain(key)}".rstrip("."): text(item) for key, item in items}
    return found


def free(field: str, value: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Free JSON as pairs of name and text, one for each item, at whatever depth."""
    for key, item in value.items():
        name = _within(field, key)
        if isinstance(item, dict) and item:
            yield from free(name, item)
        else:
            yield name, text(item)


def _within(field: str, key: Any) -> str:
    return cut(f"{field}.{plain(str(key))}")


def acts(strategy: Strategy) -> list[dict[str, dict[str, Any]]]:
    """Acts of the methods at each call, without methods that do nothing there."""
    methods = sorted(strategy.canonical().methods.items())
    return [
        {name: act for name, knobs in methods if (act := _act(knobs, call))}
        for call in range(strategy.calls)
    ]


def _act(knobs: Knobs, call: int) -> dict[str, Any]:
    whole = settings(knobs)
    return {key: value for key, value in knobs.at(call).items() if key not in whole}


def spans(strategy: Strategy) -> list[Span]:
    """The calls of a strategy, with consecutive equal ones in one span."""
    found, call = [], 0
    for same, run in groupby(acts(strategy)):
        length = len(list(run))
        found.append(Span(call, call + length - 1, same))
        call += length
    return found


def act_text(act: Mapping[str, Any]) -> str:
    """An act in words, such as "depth 1, order 2"."""
    return ", ".join(key if value is True else f"{key} {text(value)}" for key, value in act.items())


def text(value: Any) -> str:
    """A knob's value or free JSON in one line; a list of calls as ranges, of groups as JSON."""
    if isinstance(value, tuple) and all(type(item) is int for item in value):
        return ranges(value)
    if isinstance(value, tuple) and all(type(item) is bool for item in value):
        return json.dumps(value)
    if isinstance(value, tuple):
        return ", ".join(map(text, value))
    if isinstance(value, float):
        return repr(value).removesuffix(".0")
    return plain(value) if isinstance(value, str) else json.dumps(value)


def summary(strategy: Strategy) -> list[str]:
    """One line for each method: the number of calls at which it acts, and its acts."""
    rows, lines = acts(strategy), []
    for name, knobs in sorted(strategy.canonical().methods.items()):
        mine = [row[name] for row in rows if name in row]
        keys = dict.fromkeys(key for act in mine for key in act)
        parts = [_values(key, [act[key] for act in mine if key in act], len(mine)) for key in keys]
        given = settings(knobs, changed=True)
        parts += [f"{k} {text(v)}" for k, v in given.items() if not isinstance(v, tuple | dict)]
        lines.append(f"{name} at {len(mine)} of {strategy.calls} calls: {', '.join(parts)}")
    return lines or [NOTHING]


def _values(key: str, values: Sequence[Any], calls: int) -> str:
    counts = Counter(map(text, values))
    if len(counts) > MANY and all(isinstance(value, int | float) for value in values):
        mean = sum(values) / len(values)
        return f"{key} {text(min(values))} to {text(max(values))} (mean {mean:.3g})"
    if len(counts) > MANY:
        return f"{key} in {len(counts)} ways"
    if counts == {"true": calls}:
        return key
    if len(counts) == 1 and len(values) == calls:
        return f"{key} {next(iter(counts))}"
    shown = [f"{'' if value == 'true' else value + ' '}({n})" for value, n in counts.most_common()]
    return f"{key} {', '.join(shown)}"


def differences(one: Strategy, other: Strategy) -> list[Row]:
    """Differences between strategies, as rows of name, value in the one, value in the other.

    Fields come first, then calls by method. Behaviour is compared, so values without effect make no
    rows. Calls are compared by number, and only between strategies with equally many.
    """
    rows: list[Row] = []
    for field in ("name", "family", "scheduler", "steps", "calls"):
        own = "solver_text" if field == "scheduler" else field
        a, b = getattr(one, own), getattr(other, own)
        if a != b:
            rows.append((field, text(a), text(b)))
    methods = (one.canonical().methods, other.canonical().methods)
    names = sorted({*methods[0], *methods[1]})
    for name in names:
        a, b = (found.get(name) for found in methods)
        if a is None or b is None:
            there = ["absent" if knobs is None else "present" for knobs in (a, b)]
            rows.append((f"methods.{name}", there[0], there[1]))
        else:
            rows += _changed(flat_knobs(a), flat_knobs(b), f"methods.{name}.")
    if one.calls == other.calls:
        rows += [row for name in names for row in _call_differences(one, other, name)]
    for field in ("scores", "baseline", "provenance"):
        rows += _free_differences(field, getattr(one, field), getattr(other, field))
    return rows


def _free_differences(
    field: str, one: Mapping[str, Any], other: Mapping[str, Any]
) -> Iterator[Row]:
    for key in dict.fromkeys((*one, *other)):
        pair = (one.get(key, ABSENT), other.get(key, ABSENT))
        if type(pair[0]) is type(pair[1]) in PLAIN and pair[0] == pair[1]:
            continue
        name = _within(field, key)
        a, b = (value if isinstance(value, dict) else {} for value in pair)
        yield from _free_differences(name, a, b)
        x, y = (ABSENT if isinstance(v, dict) and v else v for v in pair)
        if _free_text(x) != _free_text(y):
            yield name, _free_text(x), _free_text(y)


def _free_text(value: Any) -> str:
    return "absent" if value is ABSENT else text(value)


def _call_differences(one: Strategy, other: Strategy, name: str) -> list[Row]:
    """One row for each pair of acts that differ, with all calls at which they differ."""
    found: dict[tuple[str, str], list[int]] = {}
    for call, (a, b) in enumerate(zip(acts(one), acts(other), strict=True)):
        pair = (act_text(a.get(name, {})) or "-", act_text(b.get(name, {})) or "-")
        if pair[0] != pair[1]:
            found.setdefault(pair, []).append(call)
    return [(f"{name} at {ranges(calls)}", a, b) for (a, b), calls in found.items()]


def _changed(one: Mapping[str, str], other: Mapping[str, str], prefix: str = "") -> list[Row]:
    return [
        (prefix + key, one.get(key, "absent"), other.get(key, "absent"))
        for key in dict.fromkeys((*one, *other))
        if one.get(key) != other.get(key)
    ]


def method(kind: type[Knobs]) -> dict[str, Any]:
    """A method's paper, families and knobs, as data."""
    schema = kind.model_json_schema()
    knobs = []
    for name, field in schema["properties"].items():
        per_call = name in kind.per_call
        needed = name in schema.get("required", [])
        knobs.append(
            {
                "name": name,
                "per_call": per_call,
                "values": allowed_values(field.get("items", {}) if per_call else field),
                "required": needed,
                "default": None if needed else kind.neutral.get(name, field.get("default")),
                "neutral": kind.neutral.get(name),
                "description": field.get("description", ""),
            }
        )
    about = (kind.__doc__ or "").strip().splitlines()[0]
    return {
        "name": kind.method,
        "about": about,
        "paper": kind.paper,
        "families": families_of(kind),
        "knobs": knobs,
    }


def allowed_values(schema: Mapping[str, Any]) -> str:
    """The values that a JSON schema allows, in words."""
    if "anyOf" in schema:
        return " or ".join(allowed_values(part) for part in schema["anyOf"])
    if "const" in schema or "enum" in schema:
        return " or ".join(json.dumps(v) for v in schema.get("enum", [schema.get("const")]))
    kind = schema.get("type", "any value")
    if kind == "array":
        return f"[{allowed_values(schema.get('items', {}))}, ...]"
    if kind == "object":
        return f"{{name: {allowed_values(schema.get('additionalProperties', {}))}}}"
    names = {"integer": "whole number", "boolean": "true or false", "string": "text"}
    return names.get(kind, str(kind)) + _bounds(schema)


def _bounds(schema: Mapping[str, Any]) -> str:
    words = {
        "minimum": "from",
        "exclusiveMinimum": "above",
        "maximum": "to",
        "exclusiveMaximum": "to below",
    }
    return "".join(f" {w} {text(schema[key])}" for key, w in words.items() if key in schema)
