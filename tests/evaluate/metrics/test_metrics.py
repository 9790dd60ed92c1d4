"""Every metric beside its definition or the library that others use, over random weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from cleanfid import fid as cleanfid
from cleanfid.inception_torchscript import InceptionV3W
from PIL import Image

from evaluate.image_set import ImageSet
from evaluate.images.references import read_reference
from evaluate.metrics import METRICS
from evaluate.metrics.precision_recall import radii
from evaluate.metrics.shared.base import ReferenceKind
from evaluate.networks import Networks
from evaluate.statistics.gaussian import ScoreError
from strategies import StrategyError
from tests.support.metric_inputs import NETWORKED, pictures, side, value
from tests.support.weight_writers import WRITERS, provide


@pytest.mark.parametrize("name", NETWORKED)
def test_rows_do_not_depend_on_the_batch(
    name: str, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if name == "lpips":
        pytest.skip("compares pairs, one at a time")
    provide(name, cache, monkeypatch)
    images = pictures(3)
    texts = ["a red circle", "blue", "a square of blue of red of a square of blue of red"]
    whole = Networks(batch=3).extract(name, images, texts)
    single = Networks(batch=1).extract(name, images, texts)
    assert whole.shape == single.shape
    assert whole == pytest.approx(single, rel=1e-4, abs=1e-4 * float(np.abs(whole).max()))
    assert np.abs(whole[0] - whole[1]).max() > 1e-4


@pytest.mark.parametrize("name", sorted(METRICS))
def test_every_metric_tells_sets_apart(
    name: str, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Equal sets are at the best value; a damaged set is worse."""
    metric = METRICS[name]
    if name.startswith("right"):
        pytest.skip("needs the bundled captions; tests/evaluate/test_score_command.py has it")
    if metric.network in WRITERS:
        provide(metric.network, cache, monkeypatch)
    count = 6
    networks = Networks()
    mine = side(count, networks=networks)
    if metric.video:
        videos = [np.stack([image, np.roll(image, 5, axis=1)]) for image in mine.images()]
        mine = ImageSet("videos", count, videos.__getitem__, mine.texts, networks)
    darker = [image // 8 for image in mine.images()]
    worse = ImageSet("darker", count, darker.__getitem__, mine.texts, networks)
    if metric.network == "bundled":
        features = np.random.default_rng(0).normal(size=(count, 64)).astype(np.float32)
        mine.known["bundled"], worse.known["bundled"] = features, features + 3
    if metric.views == ("alone",):
        assert np.isfinite(value(name, mine, None, "alone"))
        return
    view: ReferenceKind = "base" if "base" in metric.views else "real"
    best = {"psnr": 99.0, "ssim": 1.0, "precision": 1.0, "recall": 1.0}.get(name, 0.0)
    assert value(name, mine, mine, view) == pytest.approx(best, abs=1e-4)
    sign = 1 if metric.better == "lower" else -1
    assert sign * value(name, worse, mine, view) > sign * best + 1e-3


def test_fid_of_folders_is_clean_fids(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    provide("inception", cache, monkeypatch)
    for name, seed, count in (("a", 0, 5), ("b", 7, 7)):
        (tmp_path / name / "deeper").mkdir(parents=True)
        for index, image in enumerate(pictures(count, seed)):
            place = tmp_path / name / ("deeper" if index % 2 else ".") / f"{index}.png"
            Image.fromarray(image).save(place)
    network = InceptionV3W(str(cache / "weights"), download=False).eval()
    few_features = 256  # Of 2048, whose root takes clean-fid ten seconds.
    theirs = cleanfid.compute_fid(
        str(tmp_path / "a"), str(tmp_path / "b"), mode="clean", num_workers=0, batch_size=4,
        device=torch.device("cpu"), verbose=False,
        custom_feat_extractor=lambda images: network(images)[:, :few_features],
    )  # fmt: skip
    a, b = (read_reference(str(tmp_path / name), Networks(batch=5)) for name in ("a", "b"))
    whole = b.features("inception")
    for one in (a, b):
        one.known["inception"] = one.features("inception")[:, :few_features]
    ours = METRICS["fid"].prepare(a, b, "real")(np.ones(a.count))
    assert theirs > 1
    assert ours == pytest.approx(theirs, rel=1e-4)
    # Once more, from the cache: the network is not asked again.
    monkeypatch.setattr(Networks, "load", None)
    again = read_reference(str(tmp_path / "b"), Networks())
    assert again.features("inception") == pytest.approx(whole)
    few = read_reference(str(tmp_path / "b"), Networks(), per_folder=2)
    assert few.count == 4
    assert f"{tmp_path / 'b'} (4 images" in few.name
    Image.fromarray(pictures(1, 99)[0]).save(tmp_path / "b" / "0.png")
    with pytest.raises(TypeError):
        read_reference(str(tmp_path / "b"), Networks()).features("inception")


def test_fid_from_published_statistics(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    provide("inception", cache, monkeypatch)
    mine, real = side(6), side(8, 5)
    features = real.features("inception").astype(np.float64)
    target = tmp_path / "stats.npz"
    np.savez(target, mu=features.mean(0), sigma=np.cov(features.T))
    stored = read_reference(str(target), Networks())
    assert value("fid", mine, stored, "real") == pytest.approx(
        value("fid", mine, real, "real"), rel=1e-6
    )
    with pytest.raises(ScoreError, match="has no images"):
        value("kid", mine, stored, "real")
    np.savez(target, mean=features.mean(0))
    with pytest.raises(StrategyError, match="mu and sigma"):
        read_reference(str(target), Networks())
    for wrong in ("nowhere", str(tmp_path / "stats.npz") + "x"):
        with pytest.raises(StrategyError, match="no folder of images"):
            read_reference(wrong, Networks())
    with pytest.raises(StrategyError, match="holds 0 images"):
        read_reference(str(cache / "weights"), Networks())


def test_inception_score_is_its_definition(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    provide("inception-classes", cache, monkeypatch)
    mine = side(3)
    shares = mine.features("inception-classes").astype(float)
    assert shares.shape == (3, 1008)
    assert shares.sum(1) == pytest.approx(np.ones(3), rel=1e-4)
    marginal = shares.mean(0)
    divergence = [(row * np.log(row / marginal)).sum() for row in np.maximum(shares, 1e-16)]
    assert value("is", mine, None, "alone") == pytest.approx(np.exp(np.mean(divergence)), rel=1e-4)


def test_spatial_features_are_of_the_named_layer(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    provide("inception-spatial", cache, monkeypatch)
    found = side(2).features("inception-spatial")
    assert found.shape == (2, 7 * 17 * 17)
    assert found.min() >= 0  # Behind its activation, as the original reads it.


def test_precision_and_recall_are_their_definitions() -> None:
    rng = np.random.default_rng(0)
    mine, real = rng.normal(size=(30, 4)), rng.normal(0.5, 1.5, size=(40, 4))

    def inside(points: Any, others: Any) -> float:
        reach = [sorted(np.linalg.norm(others - o, axis=1))[3] for o in others]
        hits = [
            any(np.linalg.norm(p - o) <= r for o, r in zip(others, reach, strict=True))
            for p in points
        ]
        return float(np.mean(hits))

    a, b = (ImageSet("x", len(f), known={"inception": f.astype(np.float32)}) for f in (mine, real))
    assert value("precision", a, b, "real") == inside(mine, real)
    assert value("recall", a, b, "real") == inside(real, mine)
    assert 0.1 < inside(mine, real) <= 1
    with pytest.raises(ScoreError, match="no third neighbour"):
        radii(mine[:3])
