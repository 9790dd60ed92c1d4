"""Flags that were renamed still work under their former names, with one line of notice."""

from __future__ import annotations

import argparse
from collections.abc import Callable

import pytest

from accel import cli as accel_cli
from evaluate.commands.parsers import score_parser, transfer_parser
from search.commands import options

FORMER: list[tuple[Callable[[], argparse.ArgumentParser], list[str], str, str]] = [
    (options.parser, ["--seeds", "grid"], "--initial", "seeds"),
    (score_parser, ["--steps", "7"], "--base-steps", "steps"),
    (score_parser, ["--scheduler", "DDIMScheduler"], "--base-scheduler", "scheduler"),
    (transfer_parser, ["--steps", "7"], "--base-steps", "steps"),
    (accel_cli.parser, ["--steps", "7"], "--resample-steps", "steps"),
    (accel_cli.parser, ["--repeat", "2"], "--repeats", "repeat"),
]
NEEDED: dict[Callable[[], argparse.ArgumentParser], list[str]] = {
    accel_cli.parser: ["generate", "--strategy", "a", "--prompt", "b", "--out", "c"],
    transfer_parser: ["dato-b1", "--to", "tiny-sd"],
}


@pytest.mark.parametrize(("parser", "former", "now", "name"), FORMER)
def test_a_former_name_sets_the_same_value_and_is_noted(
    parser: Callable[[], argparse.ArgumentParser],
    former: list[str],
    now: str,
    name: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    needed = NEEDED.get(parser, [])
    mine = getattr(parser().parse_args([*needed, now, former[1]]), name)
    assert capsys.readouterr().err == ""
    theirs = getattr(parser().parse_args([*needed, *former]), name)
    assert mine == theirs != getattr(parser().parse_args(needed), name)
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert f"{former[0]} is now {now};" in told
