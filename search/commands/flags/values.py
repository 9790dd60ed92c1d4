"""Reading of the values of flags."""

from __future__ import annotations

import argparse
import re

from search.objectives.objectives import parse_amount


def limits(arguments: list[str]) -> tuple[dict[str, float], list[str]]:
    """Constraints among the arguments, and the other arguments."""
    found, rest, left = dict[str, float](), list[str](), list(arguments)
    while left:
        word = left.pop(0)
        if not word.startswith(("--min-", "--max-")):
            rest.append(word)
            continue
        name, _, value = word.partition("=")
        value = value or (left.pop(0) if left else "")
        flag = name.removeprefix("--")
        found[flag] = parse_amount(flag, value)
    return found, rest


def parse_words(text: str) -> list[str]:
    """Words between commas; `none` has none."""
    if text.strip() == "none":
        return []
    return [word.strip() for word in text.split(",") if word.strip()]


def parse_numbers(text: str) -> list[int]:
    """Whole numbers and ranges, such as `8,10,12` or `6-50`, ascending and each once."""
    found: set[int] = set()
    for word in parse_words(text):
        match = re.fullmatch(r"(\d+)(?:-(\d+))?", word)
        low, high = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if low > high or high > 10_000:
            raise argparse.ArgumentTypeError(
                f"{word!r} is neither a whole number nor a range such as 6-50"
            )
        found |= set(range(low, high + 1))
    return sorted(found)


def solvers(text: str) -> list[str]:
    """Class names with their settings; `Scheduler` is added if it is left out."""
    found = []
    for word in parse_words(text):
        name, bracket, settings = word.partition("(")
        found.append(f"{name.removesuffix('Scheduler')}Scheduler{bracket}{settings}")
    return found
