"""Words of error messages that several packages share."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any

from pydantic import ValidationError

from strategies.text import brief

NEAR = 0.6  # Two names that are less alike are not taken for each other.
LONGEST = 100  # Characters of a name that is compared: the cost is the square of it.


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """`; did you mean 'sd15'?` if a known name is similar to this one, else empty."""
    if len(name) > LONGEST:
        return ""
    plain = {_plain(one): one for one in known}
    found = difflib.get_close_matches(_plain(name), plain, n=1, cutoff=NEAR)
    return f"; did you mean {plain[found[0]]!r}?" if found else ""


def _plain(name: str) -> str:
    """A name without characters that are easily left out or exchanged."""
    return "".join(letter for letter in name.lower() if letter.isalnum())


def allowed(kind: str, context: dict[str, Any]) -> str:
    """Values that pydantic allows, in plain words; empty for an unknown kind of error.

    Args:
        kind: pydantic's name of the error, such as `greater_than_equal`.
        context: limits that belong to it.
    """
    entries = {1: "1 entry"}
    least, most = context.get("min_length"), context.get("max_length")
    words = {
        "greater_than_equal": f"give at least {context.get('ge')}",
        "greater_than": f"give more than {context.get('gt')}",
        "less_than_equal": f"give at most {context.get('le')}",
        "less_than": f"give less than {context.get('lt')}",
        "too_short": f"give at least {entries.get(least or 0, f'{least} entries')}",
        "too_long": f"give at most {entries.get(most or 0, f'{most} entries')}",
        "string_too_short": f"give a text of at least {least} characters",
        "string_too_long": f"give a text of at most {most} characters",
        "int_type": "give a whole number",
        "int_parsing": "give a whole number",
        "int_from_float": "give a whole number",
        "float_type": "give a number",
        "float_parsing": "give a number",
        "finite_number": "give a finite number",
        "string_type": "give a text",
        "bool_type": "give true or false",
        "bool_parsing": "give true or false",
        "tuple_type": "give a list",
        "list_type": "give a list",
        "dict_type": "give a mapping of names to values",
        "model_type": "give a mapping of names to values",
        "literal_error": f"give {context.get('expected')}",
    }
    return words.get(kind, "")


def one_line(error: BaseException) -> str:
    """An error's message without line breaks, such as those of a parser that quotes its input."""
    return " ".join(str(error).split()) or type(error).__name__


def explain(error: ValidationError, prefix: str = "") -> str:
    """A pydantic error as one line that names the field, what was given and what is allowed."""
    first = error.errors(include_url=False)[0]
    where = prefix + ".".join(str(part) for part in first["loc"])
    plain = allowed(first["type"], first.get("ctx", {}))
    reason = plain or first["msg"].removeprefix("Value error, ")
    if first["type"] == "missing":
        return f"{where} is missing"
    if first["type"] == "extra_forbidden":
        return f"{where} is an unknown field; remove it or upgrade diffusion-stratagem"
    if not first["loc"] or first["type"] == "value_error":
        return f"{prefix.rstrip('.') + ': ' if prefix else ''}{reason}"
    return f"{where} is {brief(first['input'])}: {reason}"
