"""Every metric beside its definition or the library that others use, over random weights."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from cleanfid import fid as cleanfid
from cleanfid.inception_torchscript import InceptionV3W
from PIL import Image

from evaluate.image_set import Side
from evaluate.images.references import read
from evaluate.metrics import METRICS, choose, usual
from evaluate.metrics.precision_recall import radii
from evaluate.metrics.shared.base import View
from evaluate.networks import SOURCES, Networks, reward, weight_files
from evaluate.statistics.gaussian import ScoreError, Statistics
from strategies import StrategyError
from tests.support.weight_writers import WORDS, WRITERS, provide

NETWORKED = sorted(WRITERS)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise AssertionError("something went to the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)


def pictures(count: int, seed: int = 0, size: int = 40) -> list[Any]:
    """Smooth random images, each of its own size."""
    rng = np.random.default_rng(seed)
    found = []
    for index in range(count):
        small = Image.fromarray(rng.integers(0, 256, (5, 5, 3), dtype=np.uint8))
        found.append(np.array(small.resize((size + index % 3, size + 2 * (index % 2)), 3)))
    return found


def side(count: int = 6, seed: int = 0, networks: Networks | None = None) -> Side:
    images = pictures(count, seed)
    rng = np.random.default_rng(seed)
    texts = [" ".join(rng.choice(WORDS, 3)) for _ in images]
    return Side("images", count, images.__getitem__, texts, networks or Networks(batch=4))


def value(name: str, mine: Side, other: Side | None, view: View) -> float:
    return METRICS[name].prepare(mine, other, view)(np.ones(mine.count))


@pytest.mark.parametrize("name", NETWORKED)
def test_missing_weights_are_one_clear_error(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(weight_files.VARIABLE, str(tmp_path))
    first = SOURCES[name].weights[0]
    with pytest.raises(weight_files.MissingWeightsError) as caught:
        Networks().load(name)
    said = str(caught.value)
    assert "\n" not in said
    for part in (Path(first.name).name, first.sha256, first.url, str(tmp_path), "--download"):
        assert part in said
    assert not list(tmp_path.iterdir())


def test_damaged_weights_are_never_loaded(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(weight_files.VARIABLE, str(tmp_path))
    path = tmp_path / "weights" / weight_files.INCEPTION.name
    path.parent.mkdir(parents=True)
    path.write_bytes(b"half a file")
    with pytest.raises(StrategyError, match="damaged or another file"):
        Networks().load("inception")
    provide("inception", cache, monkeypatch)
    Networks().load("inception")
    checked = cache / "weights" / weight_files.INCEPTION.name
    with checked.open("ab") as file:
        file.write(b"0")
    with pytest.raises(StrategyError, match="damaged or another file"):
        Networks().load("inception")
    checked.unlink()


def test_a_download_is_atomic_and_only_when_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From a local address: the bytes arrive under the right name or not at all."""
    import hashlib

    monkeypatch.setenv(weight_files.VARIABLE, str(tmp_path / "cache"))
    published = tmp_path / "published"
    published.write_bytes(b"weights")
    digest = hashlib.sha256(b"weights").hexdigest()
    good = weight_files.Weights("x/file.bin", published.as_uri(), digest)
    assert weight_files.find(good, download=True).read_bytes() == b"weights"
    bad = weight_files.Weights("y/file.bin", published.as_uri(), "0" * 64)
    with pytest.raises(StrategyError, match="cannot be fetched"):
        weight_files.find(bad, download=True)
    assert not (tmp_path / "cache" / "weights" / "y" / "file.bin").exists()


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
    darker = [image // 8 for image in mine.images()]
    worse = Side("darker", count, darker.__getitem__, mine.texts, networks)
    if metric.network == "bundled":
        features = np.random.default_rng(0).normal(size=(count, 64)).astype(np.float32)
        mine.known["bundled"], worse.known["bundled"] = features, features + 3
    if metric.views == ("alone",):
        assert np.isfinite(value(name, mine, None, "alone"))
        return
    view: View = "base" if "base" in metric.views else "real"
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
    theirs = cleanfid.compute_fid(
        str(tmp_path / "a"), str(tmp_path / "b"), mode="clean", num_workers=0, batch_size=4,
        device=torch.device("cpu"), custom_feat_extractor=network, verbose=False,
    )  # fmt: skip
    a, b = (read(str(tmp_path / name), Networks(batch=5)) for name in ("a", "b"))
    ours = METRICS["fid"].prepare(a, b, "real")(np.ones(a.count))
    assert theirs > 1
    assert ours == pytest.approx(theirs, rel=1e-4)
    # Once more, from the cache: the network is not asked again.
    monkeypatch.setattr(Networks, "load", None)
    again = read(str(tmp_path / "b"), Networks())
    assert again.features("inception") == pytest.approx(b.features("inception"))
    few = read(str(tmp_path / "b"), Networks(), per_folder=2)
    assert few.count == 4
    assert f"{tmp_path / 'b'} (4 images" in few.name
    Image.fromarray(pictures(1, 99)[0]).save(tmp_path / "b" / "0.png")
    with pytest.raises(TypeError):
        read(str(tmp_path / "b"), Networks()).features("inception")


def test_fid_from_published_statistics(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    provide("inception", cache, monkeypatch)
    mine, real = side(6), side(8, 5)
    features = real.features("inception").astype(np.float64)
    target = tmp_path / "stats.npz"
    np.savez(target, mu=features.mean(0), sigma=np.cov(features.T))
    stored = read(str(target), Networks())
    assert value("fid", mine, stored, "real") == pytest.approx(
        value("fid", mine, real, "real"), rel=1e-6
    )
    with pytest.raises(ScoreError, match="has no images"):
        value("kid", mine, stored, "real")
    np.savez(target, mean=features.mean(0))
    with pytest.raises(StrategyError, match="mu and sigma"):
        read(str(target), Networks())
    for wrong in ("nowhere", str(tmp_path / "stats.npz") + "x"):
        with pytest.raises(StrategyError, match="no folder of images"):
            read(wrong, Networks())
    with pytest.raises(StrategyError, match="holds 0 images"):
        read(str(cache / "weights"), Networks())


class Former:
    """A CLIP model whose embeddings are tensors, as torchmetrics 1.9 expects of transformers."""

    def __init__(self, model: Any) -> None:
        self.model = model

    def to(self, _: Any) -> Former:
        return self

    def get_image_features(self, pixels: Any) -> Any:
        return self.model.get_image_features(pixels).pooler_output

    def get_text_features(self, tokens: Any, mask: Any) -> Any:
        return self.model.get_text_features(tokens, mask).pooler_output

    @property
    def config(self) -> Any:
        return self.model.config


def test_clip_score_is_torchmetrics(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from torchmetrics.functional.multimodal import clip_score
    from transformers import CLIPImageProcessor, CLIPModel, CLIPProcessor, CLIPTokenizer

    provide("clip-score", cache, monkeypatch)
    folder = (cache / "weights" / SOURCES["clip-score"].weights[0].name).parent
    size = {"shortest_edge": 32}
    processor = CLIPProcessor(
        CLIPImageProcessor(size=size, crop_size={"height": 32, "width": 32}),
        CLIPTokenizer.from_pretrained(folder),
    )
    mine = side(5)
    assert mine.texts is not None
    images = [torch.from_numpy(image).movedim(-1, 0) for image in mine.images()]
    model = Former(CLIPModel.from_pretrained(folder).eval())
    with torch.no_grad():  # One by one: the paper cuts at zero each image's score, not the mean.
        theirs = [
            float(clip_score([image], [text], lambda: (model, processor)))  # type: ignore[arg-type]
            for image, text in zip(images, mine.texts, strict=True)
        ]
    assert max(theirs) > 0.5
    ours = mine.features("clip-score").reshape(-1)
    assert ours == pytest.approx(np.maximum(0, theirs), abs=0.05)
    assert value("clip-score", mine, None, "alone") == pytest.approx(ours.mean(), rel=1e-5)


def test_clip_embeddings_are_transformers(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from transformers import CLIPModel

    provide("clip-b32", cache, monkeypatch)
    folder = (cache / "weights" / SOURCES["clip-b32"].weights[0].name).parent
    model = CLIPModel.from_pretrained(folder).eval()
    image = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    mean, deviation = (
        np.array([0.48145466, 0.4578275, 0.40821073]),
        np.array([0.26862954, 0.26130258, 0.27577711]),
    )
    pixels = torch.from_numpy(((image / 255 - mean) / deviation).astype(np.float32))
    with torch.no_grad():
        found = model.get_image_features(pixels.movedim(-1, 0)[None])
    theirs = getattr(found, "pooler_output", found)
    ours = Networks().extract("clip-b32", [image])
    assert ours == pytest.approx(theirs.numpy(), abs=1e-4)


def test_cmmd_is_its_definition(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    provide("clip-l14-336", cache, monkeypatch)
    a, b = side(4), side(5, 3)
    x, y = (one.features("clip-l14-336").astype(float) for one in (a, b))
    assert np.linalg.norm(x, axis=1) == pytest.approx(np.ones(4), rel=1e-5)

    def k(p: Any, q: Any) -> float:
        return float(np.exp(-((p - q) ** 2).sum() / 200))

    own = np.mean([k(p, q) for i, p in enumerate(x) for j, q in enumerate(x) if i != j])
    there = np.mean([k(p, q) for i, p in enumerate(y) for j, q in enumerate(y) if i != j])
    across = np.mean([k(p, q) for p in x for q in y])
    assert value("cmmd", a, b, "real") == pytest.approx(1000 * (own + there - 2 * across))


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

    a, b = (Side("x", len(f), known={"inception": f}) for f in (mine, real))
    assert value("precision", a, b, "real") == inside(mine, real)
    assert value("recall", a, b, "real") == inside(real, mine)
    assert 0.1 < inside(mine, real) <= 1
    with pytest.raises(ScoreError, match="no third neighbour"):
        radii(mine[:3])


def test_the_reward_reads_image_prompt_and_every_weight(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    provide("image-reward", cache, monkeypatch)
    images, texts = pictures(2), ["a red circle", "blue"]
    networks = Networks()
    found = networks.extract("image-reward", images, texts)
    assert np.abs(found - networks.extract("image-reward", images, texts[::-1])).max() > 1e-4
    assert np.abs(found - networks.extract("image-reward", images[::-1], texts)).max() > 1e-4
    path = cache / "weights" / SOURCES["image-reward"].weights[0].name
    state = torch.hub.load_state_dict_from_url(path.as_uri(), model_dir=str(path.parent))
    unread = ("position_ids", "vision_proj")
    for name in state:
        if name.endswith(unread) or any(part in name for part in unread):
            continue
        with pytest.raises((RuntimeError, KeyError, ValueError)):
            reward.Reward({key: value for key, value in state.items() if key != name})
    network = reward.Reward(state)
    count = sum(value.numel() for value in network.state_dict().values())
    assert count == sum(v.numel() for k, v in state.items() if not any(u in k for u in unread))


def test_lpips_is_torchmetrics(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from torchmetrics.image.lpip import LearnedPerceptualImagePatchSimilarity

    provide("lpips", cache, monkeypatch)
    former = torch.hub.get_dir()
    images, others = (
        np.random.default_rng(s).integers(0, 256, (3, 64, 64, 3), np.uint8) for s in (0, 1)
    )
    a = Side("a", 3, images.__getitem__, networks=Networks())
    b = Side("b", 3, others.__getitem__)
    ours = value("lpips", a, b, "base")
    assert torch.hub.get_dir() == former
    torch.hub.set_dir(str(cache / "weights"))
    theirs = LearnedPerceptualImagePatchSimilarity("alex", normalize=True)
    torch.hub.set_dir(former)
    pair = [torch.from_numpy(x).movedim(-1, 1).float() / 255 for x in (images, others)]
    assert ours == pytest.approx(float(theirs(*pair)), rel=1e-4)


def test_ssim_refuses_what_is_smaller_than_its_window() -> None:
    tiny = Side("tiny", 2, lambda _: np.zeros((8, 8, 3), np.uint8))
    with pytest.raises(ScoreError, match="at least 11 pixels"):
        value("ssim", tiny, tiny, "base")


def test_metrics_are_chosen_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(weight_files.VARIABLE, str(tmp_path))
    assert [m.name for m in choose(["psnr", "psnr", "ssim"], bundled=False)] == ["psnr", "ssim"]
    with pytest.raises(StrategyError, match="'beauty' is unknown; there are accuracy, fid"):
        choose(["beauty"], bundled=False)
    with pytest.raises(StrategyError, match="only knows the bundled models' images"):
        choose(["fd"], bundled=False)
    found, without = usual(bundled=False)
    assert [m.name for m in found] == ["psnr", "ssim"]
    assert "inception-2015-12-05.pt" in without["fid"]
    assert usual(bundled=True)[1] == {}
    for metric in METRICS.values():
        assert metric.key("real") or metric.key("alone")
    assert Statistics.of(np.eye(3)).count == 3
