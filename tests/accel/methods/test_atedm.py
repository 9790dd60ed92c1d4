"""AT-EDM's importance of tokens against PageRank of diffusers' own attention maps."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from diffusers.models.transformers import transformer_flux
from numpy.typing import NDArray
from torch import Tensor

import accel
from accel.methods.atedm import ITERATIONS, AttentionRankSelection, token_importance
from accel.registry import applied_strategy
from tests.support.pipelines.transformer_pipelines import MODELS, build, draw, last_block, strategy

Array = NDArray[np.float64]
HALF = {"alpha": [1.0, 1.0, 0.5, 1.0, 1.0, 1.0]}


def pagerank(table: Array) -> Array:
    """Scores handed on along the rows of an attention map, by loops."""
    count = len(table)
    score = [1 / count] * count
    for _ in range(ITERATIONS):
        fresh = [0.0] * count
        for giver in range(count):
            for taker in range(count):
                fresh[taker] += score[giver] * table[giver][taker]
        score = [value / sum(fresh) for value in fresh]
    return np.array(score)


def watched(
    pipe: Any, model: str
) -> tuple[AttentionRankSelection, list[tuple[int, Tensor | None]]]:
    accel.apply(pipe, strategy(model, {"atedm": HALF}))
    run = next(
        one
        for one in applied_strategy(pipe)._clock.listeners
        if isinstance(one, AttentionRankSelection)
    )
    log: list[tuple[int, Tensor | None]] = []
    inner = run.choose

    def choose(noise: Tensor, count: int) -> Tensor | None:
        found = inner(noise, count)
        log.append((run.clock.call, found))
        return found

    run.choose = choose  # type: ignore[method-assign]
    return run, log


def check(log: list[tuple[int, Tensor | None]], maps: list[Array]) -> None:
    """At call 2 the better half of the tokens runs; `maps` are those of call 1, by head."""
    chosen = dict(log)
    assert [call for call, found in chosen.items() if found is not None] == [2]
    assert chosen[2] is not None
    score = pagerank(np.mean(maps, axis=0))
    best = sorted(range(64), key=lambda token: -score[token])[:32]
    assert chosen[2][0].tolist() == sorted(best)


@pytest.mark.parametrize("model", ["dit", "pixart"])
def test_tokens_are_ranked_by_diffusers_attention_scores(model: str) -> None:
    pipe = build(model).to(dtype=torch.float64)
    seen: dict[str, list[Tensor]] = {"to_q": [], "to_k": []}
    attention: Any = last_block(pipe).attn1
    for name, found in seen.items():
        getattr(attention, name).register_forward_hook(lambda *a, found=found: found.append(a[2]))
    _, log = watched(pipe, model)
    draw(pipe)
    half = 0 if model == "dit" else 1  # That has the prompt.
    query, key = (seen[name][1][half : half + 1] for name in ("to_q", "to_k"))
    scores = attention.get_attention_scores(
        attention.head_to_batch_dim(query), attention.head_to_batch_dim(key)
    )
    check(log, list(scores.detach().numpy()))


def test_tokens_are_ranked_with_rotary_positions(monkeypatch: pytest.MonkeyPatch) -> None:
    pipe = build("flux").to(dtype=torch.float64)
    seen: list[tuple[Tensor, Tensor]] = []
    attend = transformer_flux.dispatch_attention_fn

    def look(query: Tensor, key: Tensor, *args: Any, **kwargs: Any) -> Any:
        seen.append((query, key))
        return attend(query, key, *args, **kwargs)

    monkeypatch.setattr(transformer_flux, "dispatch_attention_fn", look)
    _, log = watched(pipe, "flux")
    draw(pipe)
    # Four attentions in each of two passes: the last of the second call's first pass.
    query, key = (turned[0, -64:].detach().numpy() for turned in seen[2 * 4 + 3])
    maps = []
    for head in range(query.shape[1]):
        scores = np.exp(query[:, head] @ key[:, head].T / np.sqrt(query.shape[2]))
        maps.append(scores / scores.sum(axis=1, keepdims=True))
    check(log, maps)


def test_importance_is_pagerank() -> None:
    random = torch.Generator().manual_seed(0)
    query, key = (torch.randn(2, 12, 3, 4, generator=random).double() for _ in range(2))
    found = token_importance(query, key)
    for image in range(2):
        maps = []
        for head in range(3):
            scores = query[image, :, head] @ key[image, :, head].T / 2
            maps.append(scores.softmax(-1).numpy())
        np.testing.assert_allclose(found[image].numpy(), pagerank(np.mean(maps, axis=0)))
    assert token_importance(query.half(), key.half()).dtype == torch.float32


@pytest.mark.parametrize("model", MODELS)
def test_queries_of_tokens_that_did_not_run_are_their_last_ones(model: str) -> None:
    """After a partial call, queries and keys are new where tokens ran, and old elsewhere."""
    pipe = build(model)
    accel.apply(pipe, strategy(model, {"atedm": {"alpha": [1.0, 1.0, 0.3, 0.5, 0.5, 1.0]}}))
    run = next(
        one
        for one in applied_strategy(pipe)._clock.listeners
        if isinstance(one, AttentionRankSelection)
    )
    states: dict[int, dict[str, Tensor]] = {}
    chosen: dict[int, Tensor | None] = {}
    inner = run.choose

    def choose(noise: Tensor, count: int) -> Tensor | None:
        call = run.clock.call
        states[call - 1] = {n: run.conditional(seen) for n, seen in run._seen.items() if seen}
        chosen[call] = inner(noise, count)
        return chosen[call]

    run.choose = choose  # type: ignore[method-assign]
    draw(pipe)
    for call in (2, 3):
        index = chosen[call]
        assert index is not None
        for name in ("to_q", "to_k"):
            changed = (states[call][name] != states[call - 1][name]).any(-1)[0]
            assert changed.nonzero().flatten().tolist() == index[0].tolist()
