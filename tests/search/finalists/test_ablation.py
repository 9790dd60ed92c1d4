"""What methods are worth: strategies without one of their methods, and the report of it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from evaluate.speed.call_kinds import Kinds
from search.commands import ablate
from search.engine.search import Search
from search.finalists import ablation
from search.finalists.final_scoring import FinalResult
from search.results import removals
from search.results import run as runs
from search.results.finalist import Finalist
from search.results.plots.schedules import differing_knobs
from search.results.report import method_worth as methods
from search.study import score_checks as gate
from strategies import Strategy, StrategyError, describe, load, parse, save
from tests.support.runs.engines import make_engine
from tests.support.runs.fake_executor import FakeExecutor

# With one solver and number of steps every strategy of the front has methods.
ONE: dict[str, Any] = {"space": "unet-small", "schedulers": ["DDIMScheduler"], "steps": [25]}
METHODS: dict[str, dict[str, Any]] = {
    "deepcache": {"depth": ["full", 1, "full", 1, "full", "full"]},
    "catome": {"threshold": [0.7, 0.7, 0.7, 1.0, 0.9, 0.9], "checkpoints": [0, 2]},
    "tgate": {"gate": 4},
}


def made() -> Strategy:
    """A strategy with checkpoints."""
    return Strategy.create(
        family="unet", scheduler="DDIMScheduler", steps=6, calls=6, methods=METHODS
    )


def test_without_a_method_the_others_do_what_they_did() -> None:
    whole = made()
    for name in METHODS:
        left = removals.without(whole, name)
        assert set(left.methods) == set(METHODS) - {name}
        assert left.digest != whole.digest
        for other, knobs in left.methods.items():
            assert knobs == whole.canonical().methods[other]
    # At a call that repeats the prediction no tokens are merged; without the cache they are.
    caches = METHODS | {"deepcache": {"depth": ["full", 0, "full", 0, "full", "full"]}}
    one = Strategy.create(
        family="unet", scheduler="DDIMScheduler", steps=6, calls=6, methods=caches
    )
    assert removals.without(one, "deepcache").methods["catome"].at(1) == {}


def scored(folder: Path, executor: FakeExecutor | None = None) -> tuple[Search, list[Finalist]]:
    """A search that is about to be exported, with a front of one strategy of two methods."""
    engine = make_engine(folder, executor, budget="40evals", **ONE)
    engine.config.write(folder / "config.yaml")
    engine.prepare()
    engine.evaluate()
    plain = engine.finish().finals[0]
    depth = [1 if call % 3 == 1 else "full" for call in range(25)]
    ratio = [0.5 if call % 2 == 0 else 0.0 for call in range(25)]
    strategy = engine.space.uniform("DDIMScheduler", 25, deepcache_depth=depth, tome_ratio=ratio)
    count = plain.images
    scoring = engine.images.make_scoring("heldout", count)
    base = engine.images.sample("heldout", count)
    outcome = engine.executor.run_exclusive(
        engine.images.generation_request("two", strategy, "heldout", count)
    )
    assert outcome.value is not None
    scores = gate.scores(scoring, outcome.value, base) | engine.prepared.costs.of(strategy)
    intervals = gate.checked_intervals(scoring, outcome.value, base)
    losses = engine.prepared.objectives.losses(scores)
    one = Finalist("front", "nsga2", strategy, scores, intervals, losses, images=count)
    return engine, [plain, one]


def test_a_run_says_what_its_methods_are_worth(tmp_path: Path) -> None:
    executor = FakeExecutor()
    engine, finals = scored(tmp_path, executor)
    assert (
        ablation.spare(engine.prepared.spending, 0.0) == 0
    )  # A budget of evaluations has no seconds to spare.
    before = engine.study.spent
    nothing = engine.ablation().run(finals, 0.0)
    assert engine.study.spent == before
    assert {one.method for one in nothing if not one.drawn} == {"deepcache", "tome"}
    found = engine.ablation().run(finals, 1e9)
    assert all(one.drawn for one in found)
    assert engine.study.spent > before
    for one in found:
        assert executor.seen[one.left.digest, "heldout"] == 1
    seen = dict(executor.seen)
    again = engine.ablation().run(finals, 1e9)
    assert dict(executor.seen) == seen  # None is drawn twice.
    assert [one.scores for one in again] == [one.scores for one in found]
    engine.export(FinalResult(finals, 0))
    run = runs.load_run(tmp_path)
    rows = methods.taken_out(run)
    assert [row["name"] for row in rows] == ["knee", "without deepcache", "without tome"]
    assert rows[1]["slower"] > "1"
    assert all(cell["text"] for row in rows for cell in row["cells"])
    used = {row["name"]: (row["strategies"], row["calls"]) for row in methods.uses(run)}
    assert used == {"deepcache": (1, 8 / 25), "tome": (1, 13 / 25)}
    page = (tmp_path / "report.html").read_text("utf-8")
    assert "What the methods are worth" in page
    assert "without tome" in page


def test_what_there_is_no_room_for_is_named(tmp_path: Path) -> None:
    engine, finals = scored(tmp_path)
    rest = removals.removals(runs.Run(tmp_path, engine.config, engine.study, finals))
    cheapest = min(engine.prepared.costs.latency(one.left) for one in rest)
    room = 1.01 * engine.prepared.spending.predict_generation(cheapest, finals[0].images)
    found = engine.ablation().run(finals, room)
    assert [one.drawn for one in found].count(True) == 1
    assert "there was no room for 1" in methods.ablation_lines(found)


def test_ablate_wants_a_finished_run_and_device_time(tmp_path: Path) -> None:
    with pytest.raises(StrategyError, match="no device time"):
        ablate.main([str(tmp_path), "--budget", "5evals"])
    engine = make_engine(tmp_path, budget="60evals", **ONE)
    engine.config.write(tmp_path / "config.yaml")
    engine.prepare()
    with pytest.raises(StrategyError, match="finish it first"):
        ablate.main([str(tmp_path)])


def test_a_failure_is_noted(tmp_path: Path) -> None:
    executor = FakeExecutor()
    engine, finals = scored(tmp_path, executor)
    rest = removals.removals(runs.Run(tmp_path, engine.config, engine.study, finals))
    executor.fails[rest[0].left.digest] = "out of memory"
    found = engine.ablation().run(finals, 1e9)
    assert [one.error for one in found] == ["out of memory", ""]
    engine.export(FinalResult(finals, 0))
    assert "out of memory" in (tmp_path / "report.html").read_text("utf-8")


def test_checkpoints_come_through_everything(tmp_path: Path) -> None:
    """File, resampling, differences, words, and the heat maps of the report."""
    whole = made()
    save(whole, tmp_path / "one.json")
    read = load(tmp_path / "one.json")
    assert read.digest == whole.digest
    assert read.methods["catome"] == whole.methods["catome"]
    assert not describe.differences(whole, read)
    more = whole.resample(calls=12)
    knobs: Any = more.canonical().methods["catome"]
    assert knobs.checkpoints == (0, 4)
    assert knobs.threshold == (0.7,) * 6 + (1.0,) * 2 + (0.7,) * 4
    back: Any = more.resample(calls=6).canonical().methods["catome"]
    assert back == whole.canonical().methods["catome"]
    every = METHODS["catome"] | {"checkpoints": "all"}
    other = Strategy.create(
        family="unet", scheduler="DDIMScheduler", steps=6, calls=6,
        methods=METHODS | {"catome": every},
    )  # fmt: skip
    shown = describe.differences(whole, other)
    assert any(what == "methods.catome.checkpoints" for what, _, _ in shown)
    assert any(what.startswith("catome at 1") for what, _, _ in shown)
    assert any("pairs" in line for line in describe.summary(whole))
    maps = {series.name: series for series in differing_knobs([whole, other])}
    assert maps["catome: checkpoints"].rows[0] == [True, False, True, "-", False, False]
    assert maps["catome: checkpoints"].rows[1] == [True, True, True, "-", True, True]
    assert maps["tgate: cross"].rows[0] == ["-"] * 4 + [True] * 2
    assert parse((tmp_path / "one.json").read_text("utf-8")).kinds() == whole.kinds()


def test_kinds_of_toca_are_told_apart() -> None:
    """Every call counted as an unaccelerated one in the latency table."""
    one = Strategy.create(
        family="dit", scheduler="DDIMScheduler", steps=4, calls=4,
        methods={"toca": {"ratio": [1.0, 0.3, 1.0, 0.1]}},
    )  # fmt: skip
    kinds = one.kinds()
    assert kinds[0] == kinds[2] == ""
    assert len({*kinds}) == 3
    assert Kinds({"": 1.0, kinds[1]: 0.5, kinds[3]: 0.2}).cost(kinds[3]) == 0.2


def test_a_finished_run_is_scored_as_its_finalists_were(tmp_path: Path) -> None:
    engine, finals = scored(tmp_path / "one")
    shutil.copytree(tmp_path / "one", tmp_path / "copy")
    other = make_engine(tmp_path / "copy", budget="40evals", **ONE)
    other.prepare()
    found = other.ablation().run(finals, 1e9)
    assert [one.scores for one in found] == [
        one.scores for one in engine.ablation().run(finals, 1e9)
    ]
