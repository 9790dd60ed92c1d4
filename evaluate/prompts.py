"""Prompts with a seed each, so that every candidate draws from the same noise.

The noise of prompt `i` depends on the split's seed and on `i` alone: not on the batch size, the
worker or the order. A larger number of images is a superset of a smaller one.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from strategies import StrategyError


@dataclass(frozen=True)
class Prompts:
    """A fixed list of prompts and the seed of each one's initial noise."""

    texts: tuple[str, ...]
    seeds: tuple[int, ...]

    def first(self, count: int) -> Prompts:
        """The first `count` prompts.

        Raises:
            StrategyError: there are fewer.
        """
        if not 1 <= count <= len(self.texts):
            raise StrategyError(f"{count} prompts asked for; this list has {len(self.texts)}")
        return Prompts(self.texts[:count], self.seeds[:count])


def read(source: str, seed: int) -> Prompts:
    """Prompts from a text file with one prompt per line.

    Args:
        source: a path, or `zoo:NAME` for a list that comes with the package.
        seed: prompt `i` gets seed `seed * 1_000_003 + i`.

    Raises:
        StrategyError: the file cannot be read or is empty.
    """
    try:
        if source.startswith("zoo:"):
            name = source.removeprefix("zoo:")
            text = (resources.files("zoo") / "prompts" / f"{name}.txt").read_text("utf-8")
        else:
            text = Path(source).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise StrategyError(f"prompts {source!r} cannot be read: {error}") from None
    texts = tuple(line.strip() for line in text.splitlines() if line.strip())
    if not texts:
        raise StrategyError(f"prompts {source!r} hold no line of text")
    return Prompts(texts, tuple(seed * 1_000_003 + i for i in range(len(texts))))
