"""The bundled model and its data: honest figures, ordinary format, small files."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionPipeline

import zoo
from evaluate import Evaluator, frechet_from_features, read_model
from tests.pipes import strategy
from zoo import data, networks, tiny_sd

FOLDER = zoo.folder("tiny-sd")


def test_loads_in_the_ordinary_way_and_is_small() -> None:
    pipe = StableDiffusionPipeline.from_pretrained(FOLDER, local_files_only=True)
    unet = pipe.unet.config
    assert len(unet.block_out_channels) == 4
    assert unet.layers_per_block == 2
    assert pipe.text_encoder.config.model_type == "clip_text_model"
    weights = [path for path in FOLDER.rglob("*") if path.suffix not in (".png", ".md")]
    assert sum(path.stat().st_size for path in weights if path.is_file()) <= 15e6
    assert not list(FOLDER.rglob("*.bin"))


def test_captions_and_labels_are_one_to_one() -> None:
    rng = np.random.default_rng(0)
    for row in data.sample_labels(500, rng):
        assert (data.parse(data.caption(row)) == row).all()
    for bad in ("", "a cat", "a large red circle on a plain dark background"):
        with pytest.raises(ValueError, match="not a caption"):
            data.parse(bad)


def test_data_is_a_function_of_its_seed() -> None:
    one, two, other = data.sample(20, 5), data.sample(20, 5), data.sample(20, 6)
    assert (one.images == two.images).all()
    assert one.captions == two.captions
    assert not (one.images == other.images).all()
    assert data.sample(3, 0, 64).images.shape == (3, 64, 64, 3)


def test_every_word_is_one_token_in_the_shipped_tokenizer() -> None:
    words = StableDiffusionPipeline.from_pretrained(FOLDER, local_files_only=True).tokenizer
    for text in data.sample(200, 3, 8).captions:
        assert len(words(text).input_ids) == len(text.split()) + 2 <= tiny_sd.MAX_TOKENS
    assert tiny_sd.tokenizer().get_vocab() == words.get_vocab()


def test_the_networks_know_the_data() -> None:
    scenes = data.sample(512, 31_337, tiny_sd.IMAGE_SIZE)
    images, labels = (
        torch.from_numpy(scenes.images).permute(0, 3, 1, 2),
        torch.from_numpy(scenes.labels),
    )
    for kind, name in ((networks.FeatureNet, "features"), (networks.JudgeNet, "judge")):
        network = networks.load(kind, zoo.networks_folder() / f"{name}.safetensors")
        right = networks.accuracy(network(images), labels)
        assert right["shape"] >= 0.95
        assert right["colour"] >= 0.95
        assert right["position"] >= 0.90


def test_prompt_lists_are_apart() -> None:
    evaluator = Evaluator(read_model("tiny-sd"))
    one, two = evaluator.prompts["search"], evaluator.prompts["heldout"]
    assert not set(one.seeds) & set(two.seeds)
    assert len(one.texts) >= 512
    assert len(two.texts) >= 2048


def test_the_card_is_true() -> None:
    """What the card says of the shipped weights is seen again on other prompts."""
    card = json.loads((FOLDER / "card.json").read_text())
    evaluator = Evaluator(read_model("tiny-sd"))
    sample = evaluator.sample(evaluator.baseline, "heldout", 48)
    for label in ("shape", "colour", "position"):
        seen, said = float(sample.right[label].mean()), card["guidance_5"][label]
        # Three standard errors of a share measured on 48 images.
        assert abs(seen - said) <= 3 * (max(said * (1 - said), 0.01) / 48) ** 0.5 + 0.02
    assert card["guidance_5"]["colour"] >= 0.95
    assert card["guidance_5"]["shape"] >= 0.80


def test_the_features_punish_broken_images() -> None:
    evaluator = Evaluator(read_model("tiny-sd"))
    scenes = data.sample(256, 777, tiny_sd.IMAGE_SIZE)
    images = torch.from_numpy(scenes.images).permute(0, 3, 1, 2)
    texts = tuple(scenes.captions)
    good = evaluator.reduce(images, texts, 0.0)
    blurred = evaluator.reduce(torch.nn.functional.avg_pool2d(images, 3, 1, 1), texts, 0.0)
    noisy = evaluator.reduce(images + 0.15 * torch.randn_like(images), texts, 0.0)
    base = frechet_from_features(good.features, evaluator.real)
    assert frechet_from_features(blurred.features, evaluator.real) > base
    assert frechet_from_features(noisy.features, evaluator.real) > base


def test_batch_size_does_not_change_the_features() -> None:
    one = strategy({"deepcache": {"depth": ["full", 1, 1, "full", 2, 0]}, "tome": {"ratio": 0.5}})
    found = []
    for batch in (1, 3, 8):
        config = read_model("tiny-sd").model_copy(update={"batch": batch})
        found.append(Evaluator(config).sample(one, "search", 8))
    for other in found[1:]:
        # A rounded pixel may differ by one step of 255; features by 2 % of their mean size.
        assert np.abs(other.images.astype(int) - found[0].images).max() <= 1
        scale = np.abs(found[0].features).mean()
        assert np.abs(other.features - found[0].features).max() <= 0.02 * scale
