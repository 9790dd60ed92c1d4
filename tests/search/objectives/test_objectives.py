"""Objectives and constraints: losses, limits, and that what breaks a limit is never exported."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import strategies
from search import cli, config
from search.commands.flags.values import limits
from search.commands.options import parser
from search.objectives.objectives import Constraint, Objectives, higher_is_better, parse_limit
from search.study.study import Study
from strategies import StrategyError
from tests.support.runs.engines import go, make_engine
from tests.support.runs.fake_executor import FakeExecutor

BASE = {"fd_base": 0.0, "fd_real": 4.0, "latency_s": 2.0, "psnr": 99.0, "speedup": 1.0}


def test_losses_and_the_worst_point() -> None:
    objectives = Objectives.create(("fd_base", "psnr", "latency_s"), {}, BASE)
    assert objectives.losses({"fd_base": 1.5, "psnr": 30.0, "latency_s": 0.5}) == (1.5, 69.0, 0.5)
    assert objectives.reference_point == (4.0, 99.0, 2.0)
    assert higher_is_better("right_shape")
    assert not higher_is_better("fd_real")


def test_limits() -> None:
    assert parse_limit("min-speedup", 2.0) == Constraint("min-speedup", "speedup", True, False, 2.0)
    one = parse_limit("max-fd-real-increase", 0.5)
    assert (one.name, one.relative, one.least) == ("fd_real", True, False)
    assert one.violation({"fd_real": 4.5}, BASE) == 0.0
    assert one.violation({"fd_real": 5.0}, BASE) == pytest.approx(1.0)
    limits = {"min-speedup": 2.0, "max-fd_real-increase": 0.5}
    objectives = Objectives.create(("fd_base", "latency_s"), limits, BASE)
    assert objectives.violation({"speedup": 2.5, "fd_real": 4.2}) == 0.0
    assert objectives.violation({"speedup": 1.0, "fd_real": 5.0}) == pytest.approx(0.5 + 1.0)


@pytest.mark.parametrize("text", ["speedup", "min-", "min-fd-increase", "most-fd", "max-FD"])
def test_wrong_limits_are_named(text: str) -> None:
    with pytest.raises(StrategyError, match="such as min-speedup"):
        parse_limit(text, 1.0)


def test_unknown_names_list_what_there_is() -> None:
    with pytest.raises(StrategyError, match=r"unknown .*'beauty'.*fd_base, fd_real"):
        Objectives.create(("beauty", "latency_s"), {}, BASE)
    with pytest.raises(StrategyError, match=r"unknown .*'rubies'"):
        Objectives.create(("fd_base", "latency_s"), {"max-rubies": 1.0}, BASE)


def test_limits_on_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    found, rest = limits(
        ["--model", "tiny-sd", "--min-speedup", "2", "--max-fd_real-increase=0.5", "--seed", "1"]
    )
    assert found == {"min-speedup": 2.0, "max-fd_real-increase": 0.5}
    assert rest == ["--model", "tiny-sd", "--seed", "1"]
    assert cli.main(["--min-speedup", "fast"]) == 2
    assert "give it a number" in capsys.readouterr().err
    assert cli.main(["--max-FD", "3"]) == 2
    assert "such as min-speedup" in capsys.readouterr().err


def test_settings_are_checked() -> None:
    assert config.resolve("tiny-sd", {}).proposer == "nsga2"
    three = {"objectives": ["fd_base", "psnr", "latency_s"]}
    assert config.resolve("tiny-sd", three).proposer == "nsga3"
    assert config.resolve("tiny-sd", three | {"proposer": "random"}).proposer == "random"
    cases: list[tuple[dict[str, Any], str]] = [
        ({"proposer": "magic"}, "there are nsga2, nsga3"),
        ({"objectives": ["fd_base", "fd_base"]}, "give each once"),
        ({"objectives": ["fd_base"]}, "objectives"),
        ({"constraints": {"min-speedup": float("nan")}}, "finite"),
        ({"seeds": ["dreams"]}, "initial 'dreams' is unknown; there are fewer-steps, grid"),
    ]
    for flags, message in cases:
        with pytest.raises(StrategyError, match=message):
            config.resolve("tiny-sd", flags)


def test_what_breaks_a_constraint_is_never_exported(tmp_path: Path) -> None:
    limits = {"min-speedup": 2.5}
    engine = make_engine(tmp_path, budget="60evals", constraints=limits)
    go(engine)
    rows = engine.study.evaluations
    slow = [row for row in rows if row.scores["speedup"] < 2.5]
    assert slow
    assert all(row.violation > 0 for row in slow)
    assert all(row.feasible for row in rows if row not in slow)
    files = list((tmp_path / "strategies").glob("*.json"))
    assert files
    assert all(strategies.load(file).scores["speedup"] >= 2.5 for file in files)
    table = pd.read_csv(tmp_path / "front.csv")
    assert not table[table["violation"] > 0]["on_front"].any()
    again = Study(tmp_path / "study.journal")
    assert [row.violation for row in again.evaluations] == [row.violation for row in rows]


def test_three_objectives_with_macs(tmp_path: Path) -> None:
    names = ["fd_base", "macs", "latency_s"]
    engine = make_engine(tmp_path, budget="60evals", objectives=names)
    summary = go(engine)
    assert engine.generation.kind == "nsga3"
    assert summary["hypervolume"] > 0
    rows = engine.study.evaluations
    assert any(row.origin == "nsga3" for row in rows)
    for row in rows:
        kinds = row.strategy.kinds()
        assert row.scores["macs"] == sum(8.0 if kind == "" else 2.0 for kind in kinds)
        assert row.objectives == tuple(row.scores[name] for name in names)
    assert len(engine.reference) == 3
    assert np.isfinite(engine.reference).all()
    assert Study(tmp_path / "study.journal").evaluations[-1].objectives == rows[-1].objectives


def test_a_wrong_objective_is_said_before_anything_is_drawn(tmp_path: Path) -> None:
    with pytest.raises(StrategyError, match=r"unknown .*'beauty'"):
        make_engine(tmp_path, FakeExecutor(), objectives=["beauty", "latency_s"])
    assert list(tmp_path.iterdir()) == []


def test_ranges_of_steps_and_short_names_of_solvers() -> None:
    words = ["--steps", "20,6-9", "--schedulers", "DDIM,PNDMScheduler"]
    given = parser().parse_args(words)
    assert given.steps == [6, 7, 8, 9, 20]
    assert given.schedulers == ["DDIMScheduler", "PNDMScheduler"]
    for text in ("9-6", "six", "6-", "1-99999999"):
        with pytest.raises(SystemExit):
            parser().parse_args(["--steps", text])
