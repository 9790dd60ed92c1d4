"""Former names of flags, which work for one release."""

from __future__ import annotations

import argparse
import sys
from typing import Any


class FormerFlag(argparse.Action):
    """A flag under its former name: sets the value of the new flag, and says so in one line.

    Args:
        option_strings: the former name.
        dest: attribute that the new flag sets.
        now: new name.
        settings: further settings of `add_argument`, as the new flag has them.
    """

    def __init__(self, option_strings: list[str], dest: str, now: str, **settings: Any) -> None:
        super().__init__(
            option_strings, dest, default=argparse.SUPPRESS, help=argparse.SUPPRESS, **settings
        )
        self.now = now

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        print(
            f"note: {option_string} is now {self.now}; the next release takes the new name alone",
            file=sys.stderr,
        )
        setattr(namespace, self.dest, values)
