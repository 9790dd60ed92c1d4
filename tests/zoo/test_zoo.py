"""The bundled model and its data: honest figures, ordinary format, small files."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import PixArtSigmaPipeline, StableDiffusionPipeline

import zoo
from evaluate import Evaluator, frechet_from_features, read_model
from evaluate.images.generation import to_pixels
from evaluate.networks import Networks
from tests.support.pipelines.unet_pipelines import strategy
from zoo import card, card_text, data, judging, networks, tiny_pixart, tiny_sd
from zoo.data import GROUPS
from zoo.parts import Parts
from zoo.recipes import RECIPES, STAGES
from zoo.training import diffusion

FOLDER = zoo.folder("tiny-sd")
PIXART = zoo.folder("tiny-pixart")


def check_small(folder: Path) -> None:
    weights = [path for path in folder.rglob("*") if path.suffix not in (".png", ".md")]
    assert sum(path.stat().st_size for path in weights if path.is_file()) <= 15e6
    assert not list(folder.rglob("*.bin"))


def test_loads_in_the_ordinary_way_and_is_small() -> None:
    pipe = StableDiffusionPipeline.from_pretrained(FOLDER, local_files_only=True)
    unet = pipe.unet.config
    assert len(unet.block_out_channels) == 4
    assert unet.layers_per_block == 2
    assert pipe.text_encoder.config.model_type == "clip_text_model"
    check_small(FOLDER)


def test_pixart_loads_in_the_ordinary_way_and_is_small() -> None:
    pipe = PixArtSigmaPipeline.from_pretrained(PIXART, local_files_only=True)
    config = pipe.transformer.config
    assert config.norm_type == "ada_norm_single"
    assert config.out_channels == 2 * pipe.vae.config.latent_channels
    assert (config.sample_size // config.patch_size) ** 2 == 256
    assert pipe.text_encoder.config.model_type == "t5"
    assert type(pipe.tokenizer).__name__ == "T5Tokenizer"
    assert type(zoo.load("tiny-pixart")) is PixArtSigmaPipeline
    check_small(PIXART)


def test_pixart_has_the_autoencoder_of_sd() -> None:
    one, other = (zoo.load(name).vae.state_dict() for name in ("tiny-sd", "tiny-pixart"))
    assert one.keys() == other.keys()
    for name, weight in one.items():
        assert torch.equal(weight, other[name])


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


def test_every_word_is_one_token_in_the_shipped_t5_tokenizer() -> None:
    words = PixArtSigmaPipeline.from_pretrained(PIXART, local_files_only=True).tokenizer
    for text in data.sample(200, 3, 8).captions:
        ids = words(text).input_ids
        assert len(ids) == len(text.split()) + 1 <= tiny_sd.MAX_TOKENS
        assert words.decode(ids, skip_special_tokens=True) == text
    assert words.unk_token_id not in words("any other word").input_ids
    assert tiny_pixart.tokenizer().get_vocab() == words.get_vocab()


def test_the_networks_know_the_data() -> None:
    scenes = data.sample(512, 31_337, tiny_sd.IMAGE_SIZE)
    images, labels = (
        torch.from_numpy(scenes.images).permute(0, 3, 1, 2),
        torch.from_numpy(scenes.labels),
    )
    for kind, name in ((networks.FeatureNet, "features"), (networks.JudgeNet, "judge")):
        network = networks.load_network(kind, zoo.networks_folder() / f"{name}.safetensors")
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
    chosen = evaluator.prompts["heldout"].first(12)
    right = evaluator.generate("images", evaluator.unaccelerated, chosen).features("judge").mean(0)
    for column, label in enumerate(GROUPS):
        seen, said = float(right[column]), card["guidance_5"][label]
        # Three standard errors of a share measured on 12 images.
        assert abs(seen - said) <= 3 * (max(said * (1 - said), 0.01) / 12) ** 0.5 + 0.02
    assert card["guidance_5"]["colour"] >= 0.95
    assert card["guidance_5"]["shape"] >= 0.80


@pytest.mark.parametrize("folder", [*map(zoo.folder, zoo.MODELS)], ids=lambda folder: folder.name)
def test_the_cards_are_rendered(folder: Path) -> None:
    """From `card.json`, so that a change of the text reaches the models that ship."""
    subject = RECIPES[folder.name].subject
    figures = json.loads((folder / "card.json").read_text())
    captions = subject.captions(figures["judged_images"], card.CARD_SEED)[:10]
    page = card_text.card_text(folder.name, subject, figures, captions)
    assert (folder / "README.md").read_text() == page


@pytest.mark.slow
def test_the_card_of_pixart_is_true() -> None:
    """What the card says of the shipped weights is seen again on held-out prompts."""
    said = json.loads((PIXART / "card.json").read_text())["guidance_5"]
    captions = Evaluator(read_model("tiny-sd")).prompts["heldout"].texts[:24]
    images = card.draw(zoo.load("tiny-pixart"), list(captions), 5.0, **zoo.MODELS["tiny-pixart"])
    judge = networks.load_network(networks.JudgeNet, zoo.networks_folder() / "judge.safetensors")
    right = judging.right(judge, images, captions)
    for label in ("shape", "colour", "position"):
        share = said[label]
        # Three standard errors of a share measured on 24 images.
        spread = 3 * (max(share * (1 - share), 0.01) / 24) ** 0.5 + 0.02
        assert abs(float(right[label].mean()) - share) <= spread
    assert said["colour"] >= 0.95
    assert said["shape"] >= 0.75


def test_padding_tokens_do_not_change_pixart() -> None:
    pipe, images = zoo.load("tiny-pixart"), []
    for length in (20, 300):
        settings = zoo.MODELS["tiny-pixart"] | {"max_sequence_length": length}
        noise = torch.Generator().manual_seed(0)
        images.append(
            pipe(
                data.EXAMPLE,
                num_inference_steps=2,
                generator=noise,
                output_type="latent",
                **settings,
            ).images
        )
    assert torch.allclose(images[0], images[1], atol=1e-4)


def test_refining_patches_keeps_what_was_learnt() -> None:
    """On latents that are equal within each patch, on average over the patch."""
    torch.manual_seed(0)
    coarse = tiny_pixart.build(patch_size=2)
    fine = tiny_pixart.refine(coarse)
    tokens = coarse.tokenizer([data.EXAMPLE], padding="max_length", return_tensors="pt").input_ids
    flat = torch.nn.functional.interpolate(torch.randn(1, 4, 8, 8), scale_factor=2)
    with torch.no_grad():
        one, other = (
            torch.nn.functional.avg_pool2d(parts.predict(flat, torch.tensor([500]), tokens), 2)
            for parts in (coarse, fine)
        )
    assert (one - other).square().mean() <= 0.1 * one.var()


@pytest.mark.parametrize(
    "model",
    [pytest.param(n, marks=[] if n == "tiny-pixart" else [pytest.mark.slow]) for n in STAGES],
)
def test_training_goes_on_from_its_checkpoint_bit_for_bit(model: str, tmp_path: Path) -> None:
    latents = torch.randn(8, 4, 16, 16, generator=torch.Generator().manual_seed(0)).half()

    def train(folder: Path, images: int) -> diffusion.Trainee:
        folder.mkdir(exist_ok=True)
        torch.manual_seed(0)
        parts: Parts = STAGES[model][0].begin(None)
        captions = RECIPES[model].subject.captions(8, 0)
        words = parts.tokenizer([*captions, ""], padding="max_length", return_tensors="pt")
        plan = diffusion.Plan(images, 0, batch=2, ranks=1, save_every=4)
        seen: list[diffusion.Trainee] = []
        diffusion.run_rank(0, parts, plan, latents, words.input_ids, folder, seen.append)
        return seen[-1]

    train(tmp_path / "two", 4)
    through, resumed = train(tmp_path / "one", 8), train(tmp_path / "two", 8)
    for name, weight in through.named():
        assert torch.equal(weight, dict(resumed.named())[name]), name
        assert torch.equal(through.average[name], resumed.average[name]), name


def test_the_features_punish_broken_images() -> None:
    judges = Networks()
    scenes = data.sample(256, 777, tiny_sd.IMAGE_SIZE)
    images = torch.from_numpy(scenes.images).permute(0, 3, 1, 2)
    blurred = torch.nn.functional.avg_pool2d(images, 3, 1, 1)
    noisy = images + 0.15 * torch.randn_like(images)
    real = zoo.reference_features().numpy()
    distances = [
        frechet_from_features(judges.extract("bundled", list(to_pixels(one))), real)
        for one in (images, blurred, noisy)
    ]
    assert min(distances[1:]) > distances[0]


def test_batch_size_does_not_change_the_features() -> None:
    one = strategy({"deepcache": {"depth": ["full", 1, 1, "full", 2, 0]}, "tome": {"ratio": 0.5}})
    found = []
    for batch in (1, 3, 8):
        config = read_model("tiny-sd").model_copy(update={"batch": batch})
        evaluator = Evaluator(config)
        found.append(evaluator.generate("images", one, evaluator.prompts["search"].first(8)))
    images = [np.stack(list(side.images())).astype(int) for side in found]
    features = [side.features("bundled") for side in found]
    for other in (1, 2):
        # A rounded pixel may differ by one step of 255; features by 2 % of their mean size.
        assert np.abs(images[other] - images[0]).max() <= 1
        scale = np.abs(features[0]).mean()
        assert np.abs(features[other] - features[0]).max() <= 0.02 * scale
