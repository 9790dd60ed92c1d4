"""Command line that began a run, as the study keeps it: without its folder and any password."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

ITS_OWN = ("--out", "--storage")  # Specific to this run; a URL may hold a password.
RESULTS = ("--json", "--csv")  # Places of the result, which other runs have elsewhere.


def search_command(arguments: Sequence[str]) -> str:
    """Command that begins the same search again.

    Args:
        arguments: arguments after `python -m search`.
    """
    kept: list[str] = []
    left = list(arguments)
    while left:
        word = left.pop(0)
        name, joined, _ = word.partition("=")
        # argparse takes a flag by its beginning, too.
        if len(name) > 3 and any(flag.startswith(name) for flag in ITS_OWN):
            if not joined and left:
                left.pop(0)
            continue
        if name in RESULTS:
            continue
        kept.append(word)
    return shlex.join(["python", "-m", "search", *kept])
