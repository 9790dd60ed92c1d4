"""Benchmarks of the search: what they measure with is what they say."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from benchmarks.engine import loop_overhead
from benchmarks.search_quality import table_file, table_generation, table_lookup
from benchmarks.search_quality.fast_tpe import tpe_once
from benchmarks.search_quality.table_lookup import PROMPTS
from search.proposers.generation_strategy import GenerationStrategy
from search.study.evaluation import Evaluation
from search.study.study import Study
from strategies import Strategy

PROPOSED = 14  # Optuna's first ten are random.


def proposals(count: int) -> list[str]:
    """Of Optuna's TPE, each evaluated before the next."""
    space = loop_overhead.make_space()
    generation = GenerationStrategy(space, [], "optuna-tpe", 24, 0, (loop_overhead.ALL,))
    generation.set_measurements(loop_overhead.latency, reference=lambda: (1.0, 1.0))
    rows: list[Evaluation] = []
    taken = set[str]()
    for number in range(count):
        found = generation.propose(number, rows, taken)
        assert found is not None
        taken.add(found.mark)
        rows.append(loop_overhead.evaluation(number, found.genome, found.strategy))
    return [one.strategy.digest for one in rows]


def test_what_tpe_does_once_changes_no_proposal() -> None:
    plain = proposals(PROPOSED)
    with tpe_once():
        assert proposals(PROPOSED) == plain
        assert proposals(PROPOSED) == plain  # A second study does not read the first one's.
    assert len(set(plain)) == PROPOSED


@pytest.mark.parametrize("name", loop_overhead.PROPOSERS)
def test_bookkeeping_measures_the_real_loop(name: str) -> None:
    space = loop_overhead.make_space()
    pairs = [loop_overhead.invented(space, number) for number in range(60)]
    line = loop_overhead.measure(space, name, pairs, repeats=6)
    assert line["finished"] == 60
    assert line["all_ms"] > line["propose_ms"] > 0
    assert line["all_ms"] > line["write_ms"] > 0


def test_one_in_four_is_a_promotion() -> None:
    space = loop_overhead.make_space()
    rows = loop_overhead.on_rungs([loop_overhead.invented(space, number) for number in range(80)])
    few = {row.strategy.digest for row in rows if row.images == loop_overhead.FEW}
    promoted = [row.strategy.digest for row in rows if row.images == loop_overhead.ALL]
    assert len(rows) == 80
    assert len(promoted) == 20
    assert set(promoted) < few


def made_up(strategy: Strategy, images: int) -> np.ndarray:
    """Features: the more is reused, the farther away."""
    reused = sum(kind != "" for kind in strategy.kinds()) / strategy.calls + 1 / strategy.steps
    return np.random.default_rng(0).random((images, 4), np.float32) + np.float32(reused)


def test_the_table_is_led_by_what_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = []

    def features(strategy: Strategy, path: Path, images: int = 16) -> np.ndarray:
        if not path.exists():
            drawn.append(strategy.digest)
            save_file({"features": made_up(strategy, images)}, path)
        return load_file(path)["features"]

    monkeypatch.setattr(table_generation, "features", features)
    monkeypatch.setattr(table_generation, "EVENLY", 10)
    monkeypatch.setattr(table_generation, "DENSE", 10)
    for _ in range(2):  # The second finds everything drawn.
        draw = table_generation.Draw("tiny-sd", tmp_path)
        vars(draw)["table"] = SimpleNamespace(predict=loop_overhead.latency)
        with ThreadPoolExecutor(2) as pool:
            draw.all(draw.first(), "00", pool)
            led = draw.led(1)
            draw.all(led, "01", pool)
    assert {origin for origin, _ in led} == {"led", "mutated", "dense"}
    assert len(drawn) == len(set(drawn)) == len(draw.known) + 1  # And the unaccelerated model.
    written = json.loads(next(tmp_path.glob("01-000-led.json")).read_text())
    assert Strategy.create(**written).digest in draw.known


def test_a_table_has_what_a_sensitivity_draws_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On few images, where the paths that follow from it find it."""

    def features(strategy: Strategy, path: Path, images: int = 16) -> np.ndarray:
        save_file({"features": made_up(strategy, images)}, path)
        return load_file(path)["features"]

    monkeypatch.setattr(table_generation, "features", features)
    monkeypatch.setattr(table_generation, "EVENLY", 10)
    monkeypatch.setattr(table_generation, "DENSE", 10)
    published = table_lookup.Table("tiny-sd")
    draw = table_generation.Draw("tiny-sd", tmp_path)
    stretches = draw.stretches()
    with ThreadPoolExecutor(1) as pool:
        draw.all([("stretch", one) for one in stretches], "s", pool, PROMPTS)
        assert not draw.known
        draw.all(draw.first(), "00", pool)
    (tmp_path / "latency.json").write_text(published.notes["latency"])
    monkeypatch.setattr("benchmarks.entry.TABLES", tmp_path)
    table_file.pack("tiny-sd", tmp_path)
    table = table_lookup.Table("tiny-sd")
    assert {one.digest for one in table.strategies} == set(draw.known)
    assert table.sensitivity(stretches[0].digest) == 0  # The one without any reuse.
    for one in stretches[1:]:
        change = table.sensitivity(one.digest)
        assert change is not None
        assert change > 0
    assert table.sensitivity("of another") is None
    # What a search of the same model has scored is known from then on, and needs no features.
    (tmp_path / "run").mkdir()
    study = Study(tmp_path / "run" / "study.journal")
    rng, new = np.random.default_rng(1), list[Strategy]()
    while len(new) < 3:
        one = table.space.decode([int(rng.integers(0, size)) for size in table.space.sizes])
        new += [one] if one.digest not in table.features else []
    known = table.strategies[0]
    rows = [(known, table.seen[known.digest, 16], 16), (new[0], 5.0, 4), (new[0], 7.0, 16)]
    for number, (one, value, images) in enumerate([*rows, (new[1], 9.0, 4), (new[2], 8.0, 24)]):
        losses, scores = (value, 1.0), {"fd_base": value}
        genome = table.space.encode(one)
        study.add(Evaluation(number, "nsga2", genome, one, scores, "", 1.0, losses, 0.0, images))
    table_file.take("tiny-sd", tmp_path / "run")
    taken = table_lookup.Table("tiny-sd")
    assert [one.digest for one in taken.everyone[len(table.strategies) :]] == [new[0].digest]
    assert len(taken.origins) == len(taken.everyone) == len(taken.logs)
    figures = [taken.figure(new[0], 4), taken.figure(new[0], 16), taken.figure(new[1], 4)]
    assert figures == pytest.approx([5.0, 7.0, 9.0])
    assert taken.sensitivity(stretches[1].digest) is not None
    # Another run adds to it.
    (tmp_path / "other").mkdir()
    genome, scores = table.space.encode(new[1]), {"fd_base": 11.0}
    row = Evaluation(0, "nsga2", genome, new[1], scores, "", 1.0, (11.0, 1.0), 0.0, 16)
    Study(tmp_path / "other" / "study.journal").add(row)
    table_file.take("tiny-sd", tmp_path / "other")
    taken = table_lookup.Table("tiny-sd")
    figures = [taken.figure(one, n) for one, n in ((new[0], 4), (new[1], 4), (new[1], 16))]
    assert figures == pytest.approx([5.0, 9.0, 11.0])
    losses, scores = (1e4, 1.0), {"fd_base": 1e4}
    row = Evaluation(9, "nsga2", table.space.encode(known), known, scores, "", 1.0, losses, 0.0, 16)
    study.add(row)
    with pytest.raises(SystemExit, match="was not drawn as the table"):
        table_file.take("tiny-sd", tmp_path / "run")
