"""tiny-portraits as it ships: ordinary format, a true card, and all methods of its family."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch
from diffusers import StableDiffusionPipeline

import accel
import zoo
from accel import families
from evaluate import Evaluator, read_model
from search import config, spaces
from search.initial.baselines import known_strategies
from tests.zoo.test_zoo import check_small
from zoo import tiny_portraits
from zoo.portraits import captions, words

NAME = "tiny-portraits"
FOLDER = zoo.folder(NAME)
METHODS = ("deepcache", "dato", "tome", "catome", "tgate", "blockcache", "guidance")


@pytest.fixture(scope="module")
def evaluator() -> Evaluator:
    return Evaluator(read_model(NAME))


def test_loads_in_the_ordinary_way_and_is_small() -> None:
    pipe = StableDiffusionPipeline.from_pretrained(FOLDER, local_files_only=True)
    unet = pipe.unet.config
    assert unet.sample_size == 32
    assert [kind.startswith("CrossAttn") for kind in unet.down_block_types] == [True, False] * 2
    assert families.find_sites(pipe)[1].skip_levels == 8
    assert tiny_portraits.tokenizer().get_vocab() == pipe.tokenizer.get_vocab()
    check_small(FOLDER)


def test_prompts_are_captions_of_what_it_has_learnt(evaluator: Evaluator) -> None:
    lists = [evaluator.prompts["search"], evaluator.prompts["heldout"]]
    assert not {*lists[0].seeds} & {*lists[1].seeds}
    assert [len(one.texts) for one in lists] == [512, 2048]
    for text in (text for one in lists for text in one.texts):
        said = captions.parse(text)
        assert all(said[captions.NAMES.index(name)] == -1 for name in words.NOT_LEARNT)


def test_the_card_is_true(evaluator: Evaluator) -> None:
    """What it says is seen again on held-out prompts: the images that ship."""
    figures = json.loads((FOLDER / "card.json").read_text())
    chosen = evaluator.prompts["heldout"].first(8)
    right = evaluator.generate("images", evaluator.unaccelerated, chosen).features("judge")
    named = [name for name in words.VALUES if name not in words.NOT_LEARNT]
    said = sum(figures["guidance_5"][name] for name in named) / len(named)
    # Four standard errors of a mean of about nine answers to each of 8 captions.
    assert abs(float(right.mean()) - said) <= 4 * (said * (1 - said) / (8 * 9)) ** 0.5 + 0.02


@pytest.mark.parametrize("method", METHODS)
def test_every_method_has_initial_strategies_that_run(method: str) -> None:
    """The laws run on its topology with random weights; this is the trained model itself."""
    pipe: Any = zoo.load(NAME)
    settings = config.resolve(NAME, {})
    space = spaces.make_space(settings.space, "unet", pipe.scheduler, 1.0)
    known = known_strategies(space, settings.model.scheduler, settings.model.steps)
    chosen = [one for _, one in known if method in one.canonical().methods]
    one = min(chosen, key=lambda each: each.steps)
    prompt = captions.EXAMPLE

    def generate() -> torch.Tensor:
        noise = torch.Generator().manual_seed(0)
        given = {"num_inference_steps": one.steps, "output_type": "latent", "generator": noise}
        return pipe(prompt, **given).images

    with accel.accelerated(pipe, one, set_scheduler=True):
        fast = generate()
    same_steps = space.uniform(one.solver_text, one.steps)
    with accel.accelerated(pipe, same_steps, set_scheduler=True):
        plain = generate()
    assert torch.isfinite(fast).all()
    assert not torch.equal(fast, plain)
