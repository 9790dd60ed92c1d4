"""Help texts: names are never broken at their hyphens, and given line breaks stay."""

from __future__ import annotations

import argparse
import textwrap


class Formatter(argparse.RawDescriptionHelpFormatter):
    """Class to pass as `formatter_class`."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        """Paragraphs wrapped; a line that begins with a space, such as an example, stays."""
        lines = [
            part
            for line in text.splitlines()
            for part in ([line] if line.startswith(" ") else _wrapped(line, width) or [""])
        ]
        return "\n".join(indent + line for line in lines)

    def _split_lines(self, text: str, width: int) -> list[str]:
        wrapped = (
            textwrap.wrap(line, width, break_on_hyphens=False, subsequent_indent=indent)
            for line in text.splitlines()
            for indent in ["  " if ": " in line and "\n" in text else ""]
        )
        return [line for lines in wrapped for line in lines]


def _wrapped(line: str, width: int) -> list[str]:
    return textwrap.wrap(line, width, break_on_hyphens=False)
