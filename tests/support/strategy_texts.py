"""Strategies from texts, and commands that read them."""

from __future__ import annotations

import contextlib
import io
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest

import strategies
from strategies import Strategy, StrategyError, describe
from strategies.cli import main

TERMINAL = ("\x1b", "\x9b", "\x07", "\x08", "\r", "\u202e", "\u2028")


def used(text: str) -> Strategy:
    """Everything that commands do with a file's text; a StrategyError may end it."""
    one = strategies.parse(text)
    assert strategies.parse(strategies.dump(one)).digest == one.digest
    one.to_json()
    one.kinds()
    describe.summary(one)
    return one


def run(*arguments: Any) -> tuple[int, str]:
    """Exit code, and all that a command prints."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        code = main([str(argument) for argument in arguments])
    return code, said.getvalue()


def loaded(text: str) -> Strategy | None:
    """The strategy, or None where it is refused in one line that prints."""
    try:
        return used(text)
    except StrategyError as error:
        line = str(error)
    assert line.isprintable()
    return None


def refused(text: str) -> str:
    """The line that a file is refused with."""
    with pytest.raises(StrategyError) as caught:
        used(text)
    message = str(caught.value)
    assert message.isprintable()
    assert len(message) <= 4_000
    return message


def work(act: Callable[[], Any]) -> int:
    """Lines of Python that a call executes."""
    lines = 0

    def count(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal lines
        lines += event == "line"
        return count

    before = sys.gettrace()
    sys.settrace(count)
    try:
        act()
    finally:
        sys.settrace(before)
    return lines
