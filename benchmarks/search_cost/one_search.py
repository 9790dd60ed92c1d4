"""One search with some of the savings of device time switched off.

    python -m benchmarks.search_cost.one_search --without embeddings -- --budget 9evals --workers 0

What follows `--` are flags of `python -m search`. The savings are switched off in this process, so
the search has to run in it (`--workers 0`).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

from evaluate.images.prompt_embeddings import PromptEmbeddings
from evaluate.speed import latency_measurement
from search import cli
from search.costs import measurement
from search.initial import baselines

SAVINGS: dict[str, tuple[Any, str, Any]] = {
    "embeddings": (PromptEmbeddings, "reused", lambda _: nullcontext()),
    "early table": (measurement, "is_precise", lambda *_: False),
    "repeated passes": (latency_measurement, "repeated_passes", lambda _: nullcontext()),
    "joint strategies": (baselines, "joint_strategies", lambda *_: ()),
}


def switch_off(names: Sequence[str]) -> None:
    """Switch savings off by their names in `SAVINGS`, for the rest of this process."""
    for name in names:
        owner, attribute, instead = SAVINGS[name]
        setattr(owner, attribute, instead)


def search(arguments: Sequence[str]) -> int:
    """Run the search; returns its exit code."""
    at = list(arguments).index("--")
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--without", nargs="+", default=[], choices=SAVINGS, metavar="SAVING")
    switch_off(parser.parse_args(list(arguments[:at])).without)
    return cli.main(list(arguments[at + 1 :]))


if __name__ == "__main__":
    raise SystemExit(search(sys.argv[1:]))
