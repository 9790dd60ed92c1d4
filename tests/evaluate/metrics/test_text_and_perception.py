"""CLIP, ImageReward, LPIPS and SSIM compared with the libraries that others use."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from evaluate.image_set import ImageSet
from evaluate.networks import SOURCES, Networks, reward
from evaluate.statistics.gaussian import ScoreError
from tests.support.metric_inputs import pictures, side, value
from tests.support.weight_writers import provide


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
            float(clip_score([image], [text], lambda: (model, processor)))
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
    a = ImageSet("a", 3, images.__getitem__, networks=Networks())
    b = ImageSet("b", 3, others.__getitem__)
    ours = value("lpips", a, b, "base")
    assert torch.hub.get_dir() == former
    torch.hub.set_dir(str(cache / "weights"))
    theirs = LearnedPerceptualImagePatchSimilarity("alex", normalize=True)
    torch.hub.set_dir(former)
    pair = [torch.from_numpy(x).movedim(-1, 1).float() / 255 for x in (images, others)]
    assert ours == pytest.approx(float(theirs(*pair)), rel=1e-4)


def test_ssim_refuses_what_is_smaller_than_its_window() -> None:
    tiny = ImageSet("tiny", 2, lambda _: np.zeros((8, 8, 3), np.uint8))
    with pytest.raises(ScoreError, match="at least 11 pixels"):
        value("ssim", tiny, tiny, "base")
