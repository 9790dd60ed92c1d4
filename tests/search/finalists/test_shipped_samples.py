"""Held-out samples of baselines that ship with a bundled model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evaluate import Evaluator
from evaluate.evaluator import Split
from search import config
from search.engine.search import Search
from search.images import shipped_samples
from search.images.shared_cache import SharedImages, origin
from search.images.shipped_samples import ShippedSamples, pack
from search.run_folder import inputs
from strategies.data_files import whole
from tests.support.runs.engines import MODEL, make_engine, raced
from tests.support.runs.fake_executor import FakeExecutor, make_sample
from zoo import MODELS

IMAGES = 96
SETS: dict[str, Any] = {"heldout_images": IMAGES, "budget": "40evals", "surrogate": False}


def ship(
    folder: Path, engine: Search, monkeypatch: pytest.MonkeyPatch, off: float = 0.0
) -> ShippedSamples:
    """Samples of all fewer steps, as the fake workers draw them, all `off` by so much."""
    monkeypatch.setattr(
        shipped_samples, "samples_path", lambda name: folder / f"{name}.safetensors"
    )
    there = inputs.collect_inputs(engine.config)
    of = origin(MODEL, there.weights, engine.unaccelerated)
    samples = {}
    for start, strategy in engine.generation.initial:
        if start == "fewer-steps":
            one = make_sample(strategy, "heldout", IMAGES)
            features = {name: rows + np.float32(off) for name, rows in one.features.items()}
            samples[strategy.digest] = replace(one, features=features)
    whole.make_folder(folder)
    content = pack(there.prompts["heldout"].first(IMAGES), samples, of)
    whole.write(content, shipped_samples.samples_path(MODEL.name))
    return ShippedSamples(MODEL, there, engine.unaccelerated)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], int]:
    """The summary of a search without shipped samples, and how many held-out images it drew."""
    engine = make_engine(tmp_path_factory.mktemp("plain"), FakeExecutor(), **SETS)
    return raced(engine), engine.executor.drawn["heldout"]  # type: ignore[attr-defined]


@pytest.mark.parametrize("off", [0.0, 1.0])
def test_what_ships_of_a_baseline_is_not_drawn(
    off: float,
    plain: tuple[dict[str, Any], int],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    expected, all_of_it = plain
    engine = make_engine(tmp_path / "run", FakeExecutor(), **SETS)
    engine.shipped = ship(tmp_path / "zoo", engine, monkeypatch, off)
    assert raced(engine)["hypervolume"] == expected["hypervolume"]
    drawn = engine.executor.drawn["heldout"]  # type: ignore[attr-defined]
    if off:  # This machine draws otherwise.
        assert drawn == all_of_it
    else:
        assert drawn <= all_of_it - (IMAGES - 24)


def test_what_ships_is_of_the_prompts_and_of_what_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = make_engine(tmp_path, FakeExecutor(), **SETS)
    shipped = ship(tmp_path / "zoo", engine, monkeypatch)
    one = next(one for start, one in engine.generation.initial if start == "fewer-steps")
    reading, first = engine.config.metric_set.reading, make_sample(one, "heldout", 24)
    found = shipped.part(one.digest, 24, 48, reading, first)
    assert found is not None
    expected = make_sample(one, "heldout", 48, 24)
    for name, rows in expected.features.items():
        assert (found.features[name] == rows).all()
    assert shipped.part(one.digest, 24, IMAGES + 1, reading, first) is None
    assert shipped.part(engine.unaccelerated.digest, 24, 48, reading, first) is None
    more = replace(reading, networks=(*reading.networks, "inception"))
    assert shipped.part(one.digest, 24, 48, more, first) is None
    there = inputs.collect_inputs(engine.config)
    other = {**there.prompts, "heldout": there.prompts["search"]}
    assert not ShippedSamples(MODEL, replace(there, prompts=other), engine.unaccelerated).digests
    few = {**there.prompts, "heldout": there.prompts["heldout"].first(40)}
    fewer = ShippedSamples(MODEL, replace(there, prompts=few), engine.unaccelerated)
    assert fewer.part(one.digest, 24, 40, reading, first) is not None
    assert fewer.part(one.digest, 24, 41, reading, first) is None
    model = MODEL.model_copy(update={"guidance": 4.0})
    assert not ShippedSamples(model, there, engine.unaccelerated).digests


@pytest.mark.parametrize("name", MODELS)
def test_the_unaccelerated_images_of_a_default_search_ship(name: str, tmp_path: Path) -> None:
    settings = config.resolve(name, {})
    plain = Evaluator(settings.model).unaccelerated
    there = inputs.collect_inputs(settings)
    found = SharedImages(settings.model, there, plain, "cpu", tmp_path / "run")
    splits: dict[Split, int] = {"search": settings.images, "heldout": settings.heldout_images}
    for split, count in splits.items():
        assert found.count(split, 0, count) == count
