"""Baselines that a search did not evaluate are compared with its front."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from search.engine.search import Search
from search.results import finalist
from search.study.evaluation import BASELINES
from tests.support.runs.engines import make_engine, raced
from tests.support.runs.fake_executor import FakeExecutor


def seen(engine: Search) -> Counter[tuple[str, str]]:
    """How often each strategy was generated, by digest and split."""
    assert isinstance(engine.executor, FakeExecutor)
    return engine.executor.seen


def test_baselines_that_the_search_passed_over_are_held_against_the_front(tmp_path: Path) -> None:
    engine = make_engine(tmp_path, budget="60evals", rungs=[4, 16], export=12)
    summary = raced(engine)
    known = {one.digest for origin, one in engine.generation.initial if origin in BASELINES}
    scored = {e.strategy.digest for e in engine.study.evaluations if e.images == 16}
    finals = [final for final in finalist.finals(engine.study) if final.role == "baseline"]
    passed_over = [final for final in finals if final.strategy.digest not in scored]
    assert passed_over
    assert {final.strategy.digest for final in passed_over} <= known
    assert all(seen(engine)[f.strategy.digest, "heldout"] == 1 for f in passed_over)
    assert len(finals) <= engine.config.export
    # Resumed, the same ones are chosen, and none is drawn again.
    again = make_engine(tmp_path, budget="60evals", rungs=[4, 16], export=12)
    assert raced(again)["hypervolume_baselines"] == summary["hypervolume_baselines"]
    assert not any(split == "heldout" for _, split in seen(again))
    # Without a model nobody knows what to expect of them.
    plain = make_engine(tmp_path / "plain", budget="60evals", rungs=[4, 16], surrogate=False)
    plain.prepare()
    plain.evaluate()
    assert plain.generation.promising_baselines(plain.study.evaluations) == []


def test_a_limit_on_quality_leaves_out_what_is_only_expected(tmp_path: Path) -> None:
    engine = make_engine(
        tmp_path, budget="60evals", rungs=[4, 16], constraints={"max-fd_base-increase": 60.0}
    )
    engine.prepare()
    engine.evaluate()
    assert engine.generation.promising_baselines(engine.study.evaluations)
    assert all(e.images == 16 and e.feasible for e in engine.choice().best()[1])


def test_baselines_that_were_passed_over_take_no_budget_from_the_search(tmp_path: Path) -> None:
    engine = make_engine(tmp_path, budget="200s", rungs=[4, 16], export=12)
    summary = raced(engine)
    drawn = {digest for digest, split in seen(engine) if split == "heldout"}
    best, baselines = engine.choice().best()
    late = [e for e in baselines if not e.images]
    assert {e.strategy.digest for e in (*best, *baselines) if e.images} <= drawn
    assert late
    assert "left_out_for_budget" not in summary
    assert summary["device_seconds"] <= 200
