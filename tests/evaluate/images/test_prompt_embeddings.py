"""Prompt embeddings that are kept: equal images, and text encoders that run once."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from evaluate import Evaluator, read_model
from evaluate.extraction import ExtractionSpec
from evaluate.images.generation import run_pipeline
from evaluate.images.prompt_embeddings import ENCODE, PromptEmbeddings
from tests.support.pipelines import pipeline_states
from tests.support.pipelines.pipeline_states import draw


def build(model: str) -> Any:
    """A pipeline whose parts are in the mode that loaded ones have."""
    pipe = pipeline_states.build(model)
    for part in pipe.components.values():
        if isinstance(part, torch.nn.Module):
            part.eval()
    return pipe


def encoded(pipe: Any) -> list[str]:
    """Names of the text encoders, each as often as it has run since."""
    runs: list[str] = []
    for name, part in pipe.components.items():
        if name.startswith("text_encoder") and part is not None:
            part.register_forward_hook(lambda *_, name=name: runs.append(name))
    return runs


@pytest.mark.parametrize("model", ["sd1", "pixart", "sd3", "flux"])
def test_images_are_equal_and_prompts_are_encoded_once(model: str) -> None:
    pipe = build(model)
    kept, runs = PromptEmbeddings(pipe), encoded(pipe)
    plain = draw(pipe, steps=2)
    once = len(runs)
    assert once
    with kept.reused():
        assert torch.equal(draw(pipe, steps=2), plain)
        assert len(runs) == 2 * once
        assert torch.equal(draw(pipe, steps=2), plain)
        assert torch.equal(draw(pipe, steps=2), plain)
    assert len(runs) == 2 * once
    assert ENCODE not in vars(pipe)
    assert torch.equal(draw(pipe, steps=2), plain)
    assert len(runs) == 3 * once  # Outside of the block everything is computed.


def test_pipelines_without_texts_are_left_alone() -> None:
    pipe = build("dit")
    plain = draw(pipe, steps=2)
    with PromptEmbeddings(pipe).reused():
        assert torch.equal(draw(pipe, steps=2), plain)


def texts(pipe: Any, *prompts: str, **given: Any) -> torch.Tensor:
    return torch.cat(pipe.encode_prompt(list(prompts), "cpu", 1, True, **given))


def test_everything_that_an_embedding_depends_on_tells_it_apart() -> None:
    pipe = build("sd1")
    kept, runs = PromptEmbeddings(pipe), encoded(pipe)
    plain = texts(pipe, "a circle", "a ring")
    other = texts(pipe, "a ring", "a circle")
    without = texts(pipe, "a circle", "a ring", negative_prompt=["a cross", "a cross"])
    assert not torch.equal(plain, without)
    with kept.reused():
        for _ in range(2):
            assert torch.equal(texts(pipe, "a circle", "a ring"), plain)
            assert torch.equal(texts(pipe, "a ring", "a circle"), other)
            again = texts(pipe, "a circle", "a ring", negative_prompt=["a cross", "a cross"])
            assert torch.equal(again, without)
        before = len(runs)
        found = texts(pipe, "a circle", "a ring")
        found.zero_()  # Somebody else's copy.
        assert torch.equal(texts(pipe, "a circle", "a ring"), plain)
        assert len(runs) == before
        for _ in range(2):
            texts(pipe, "a circle", "a ring", prompt_embeds=plain[:2])
        assert len(runs) > before + 1  # Given tensors are in no key.


def test_nothing_is_kept_of_encoders_in_training() -> None:
    pipe = build("sd1")
    kept, runs = PromptEmbeddings(pipe), encoded(pipe)
    pipe.text_encoder.train()
    with kept.reused():
        texts(pipe, "a circle")
        before = len(runs)
        texts(pipe, "a circle")
    assert len(runs) == 2 * before


def test_the_embeddings_used_longest_ago_go_first() -> None:
    pipe = build("sd1")
    runs = encoded(pipe)
    size = sum(
        one.numel() * one.element_size() for one in pipe.encode_prompt(["a"], "cpu", 1, True)
    )
    once = len(runs)
    kept = PromptEmbeddings(pipe, limit=2 * size)
    with kept.reused():
        for prompt in ("a", "b", "a", "c"):  # The last takes the place of "b".
            texts(pipe, prompt)
        before = len(runs)
        texts(pipe, "a")
        texts(pipe, "c")
        assert len(runs) == before
        texts(pipe, "b")
        assert len(runs) == before + once


def test_a_failing_generation_leaves_the_pipeline_as_it_was() -> None:
    pipe = build("sd1")
    with pytest.raises(TypeError), PromptEmbeddings(pipe).reused():
        pipe.encode_prompt()
    assert ENCODE not in vars(pipe)


def test_an_evaluator_encodes_a_batch_once_and_timing_every_time() -> None:
    config = read_model("tiny-sd").model_copy(update={"steps": 2})
    pipe = Evaluator(config).pipe
    plain = Evaluator(config, pipe=pipe)
    keeping = Evaluator(config, pipe=pipe, keep_embeddings=True)
    chosen, reading = plain.prompts["search"].first(3), ExtractionSpec(("bundled",))
    expected = plain.sample(plain.unaccelerated, chosen, reading).features["bundled"]
    runs = encoded(pipe)
    for strategy in (
        keeping.unaccelerated,
        keeping.unaccelerated.resample(steps=3),
        keeping.unaccelerated,
    ):
        found = keeping.sample(strategy, chosen, reading).features["bundled"]
    assert (found == expected).all()
    once = len(runs)
    run_pipeline(pipe, config, plain.unaccelerated, chosen)
    assert len(runs) == 2 * once
