"""Small spaces, such as those of few-step models: all of their strategies are evaluated."""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path

import pytest

import search.cli
from accel.models import few_steps
from search.results import run as runs
from search.spaces import with_calls
from strategies import SearchSpace, StrategyError
from strategies.data_files.configs import read_config
from strategies.genomes.members import members
from tests.support.pipelines.unet_pipelines import build
from tests.support.runs.engines import make_engine

SOLVER = "DDIMScheduler"


def space(steps: list[int], **knobs: object) -> SearchSpace:
    settings = {"schedulers": [SOLVER], "steps": steps, "knobs": knobs}
    settings["fixed"] = {"tome": {"stride": 2, "levels": 1}}
    return with_calls(settings, "unet", {(SOLVER, n): n for n in steps})


SMALL = {"deepcache.depth": ["full", 0, 1], "tome.ratio": [0.0, 0.5]}


def test_members_are_all_strategies_once() -> None:
    made = space([1, 2], **SMALL)
    found = members(made)
    assert found is not None
    every = {made.decode(genome).digest for genome in product(*map(range, made.sizes))}
    assert {one.digest for _, one in found} == every
    assert len(found) == len(every)
    for genome, one in found:
        assert made.decode(genome).digest == one.digest


def test_members_of_a_large_space_are_not_listed() -> None:
    assert members(space([1, 2, 20], **SMALL)) is None
    assert members(space([1, 2], **SMALL), most=3) is None


def test_settings_of_each_kind() -> None:
    assert few_steps.few_step_settings("lightning:2") == {
        "scheduler": "EulerDiscreteScheduler(spacing=trailing)",
        "steps": 2,
        "guidance": 1.0,
    }
    for text, said in (("lcn", "did you mean"), ("lcm:0", "no number of steps"), ("lcm:", "''")):
        with pytest.raises(StrategyError, match=said):
            few_steps.few_step_settings(text)


@pytest.mark.parametrize("family", ["unet", "mmdit"])
def test_the_space_of_few_steps_is_small(family: str) -> None:
    settings = read_config("spaces", f"{family}-few")
    (solver,) = settings["schedulers"]
    made = with_calls(settings, family, {(solver, n): n for n in settings["steps"]})
    found = members(made)
    assert found is not None
    assert 50 < len(found) <= 2000


def test_a_search_of_a_small_space_evaluates_all_of_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    build("sd1").save_pretrained(tmp_path / "model")
    run = tmp_path / "run"
    asked = ["--model", str(tmp_path / "model"), "--few-steps", "lcm:2", "--out", str(run)]
    asked += ["--workers", "0", "--images", "2", "--heldout-images", "2", "--export", "2"]
    asked += ["--size", "32", "--batch", "2", "--objective", "psnr", "--objective", "macs"]
    assert search.cli.main([*asked, "--budget", "40evals"]) == 0
    shown = capsys.readouterr().out
    found = runs.load_run(run)
    model = found.config.model
    assert (model.scheduler, model.steps, model.guidance) == ("LCMScheduler", 2, 1.0)
    made = with_calls(found.config.space, "unet", {("LCMScheduler", n): n for n in (1, 2)})
    every = members(made)
    assert every is not None
    assert f"the space has {len(every)} strategies" in shown
    assert "all of them are evaluated" in shown
    assert "strategies of the space were evaluated" not in shown
    evaluated = {row.strategy.digest for row in found.study.evaluations}
    assert evaluated | {found.unaccelerated.strategy.digest} >= {one.digest for _, one in every}
    assert json.loads((run / "summary.json").read_text())["front"] >= 1


def test_a_budget_that_ends_before_a_small_space_says_how_many_are_left(tmp_path: Path) -> None:
    engine = make_engine(
        tmp_path, budget="14evals", space="unet-few", steps=[2, 3], schedulers=[SOLVER]
    )
    told: list[str] = []
    engine.tell = told.append
    engine.prepare()
    assert not any("all of them are evaluated" in line for line in told)
    engine.evaluate()
    every = engine.generation.members
    assert every is not None
    seen = {row.strategy.digest for row in engine.study.evaluations} | {engine.unaccelerated.digest}
    left = len({one.digest for _, one in every} - seen)
    assert left > 0
    assert f"ended before {left} strategies of the space were evaluated" in told[-1]
