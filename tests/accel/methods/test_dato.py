"""DaTo's choices against a slow, literal transcription of the paper's equations 6 to 9."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import accel
from accel.methods import dato
from accel.tokens.reduced_attention import ReducedSelfAttention
from tests.support.pipelines.unet_pipelines import build, draw, strategy

Array = NDArray[np.float64]


def equation_6(newer: Array, older: Array) -> Array:
    """DiffScore of one image: the mean over channels of the absolute change."""
    channels, height, width = newer.shape
    score = np.zeros((height, width))
    for m in range(height):
        for n in range(width):
            total = 0.0
            for c in range(channels):
                total += abs(newer[c, m, n] - older[c, m, n])
            score[m, n] = total / channels
    return score


def equation_7(score: Array, s: int) -> list[int]:
    """The base token of patch (i, j): the place with the highest score in it."""
    height, width = score.shape
    base = []
    for i in range(height // s):
        for j in range(width // s):
            inside = [(m, n) for m in range(i * s, (i + 1) * s) for n in range(j * s, (j + 1) * s)]
            best = max(inside, key=lambda place: score[place])
            base.append(best[0] * width + best[1])
    return base


def equation_9(tokens: Array, base: list[int], k: int) -> tuple[set[int], dict[int, int]]:
    """The k tokens most similar to a base token, and that base token for each."""

    def cosine(a: Array, b: Array) -> float:
        return float(a @ b / np.sqrt((a @ a) * (b @ b)))

    nearest, likeness = {}, {}
    for i in range(len(tokens)):
        if i not in base:
            similar = {j: cosine(tokens[i], tokens[j]) for j in base}
            nearest[i] = max(similar, key=lambda j: similar[j])
            likeness[i] = similar[nearest[i]]
    pruned = sorted(likeness, key=lambda i: -likeness[i])[:k]
    return set(pruned), {i: nearest[i] for i in pruned}


@settings(max_examples=30, deadline=None)
@given(
    st.integers(0, 10_000),
    st.integers(2, 9),
    st.integers(2, 9),
    st.sampled_from([2, 3]),
    st.floats(0, 1),
)
def test_choices_equal_the_papers(
    seed: int, height: int, width: int, patch: int, share: float
) -> None:
    if min(height, width) < patch:
        return
    rng = np.random.default_rng(seed)
    newer, older = rng.normal(size=(2, 3, 4, height, width))
    tokens = rng.normal(size=(3, height * width, 6))
    score = dato.diff_score(torch.from_numpy(newer), torch.from_numpy(older))
    local = dato.base_tokens(score, patch)
    base, others = dato.split_tokens(local, height, width, patch)
    count = int(share * others.shape[1])
    chosen = dato.prune(torch.from_numpy(tokens), base, others, count, "base")
    for image in range(3):
        np.testing.assert_allclose(score[image], equation_6(newer[image], older[image]))
        expected = equation_7(equation_6(newer[image], older[image]), patch)
        assert base[image].tolist() == expected
        assert sorted([*base[image].tolist(), *others[image].tolist()]) == list(
            range(height * width)
        )
        pruned, nearest = equation_9(tokens[image], expected, count)
        kept = chosen.kept[image].tolist()
        assert set(range(height * width)) - set(kept) == pruned
        copies = {i: kept[chosen.back[image, i]] for i in range(height * width)}
        assert copies == {i: nearest.get(i, i) for i in range(height * width)}


def test_recovery_from_kept_tokens_takes_the_nearest_of_all() -> None:
    torch.manual_seed(0)
    tokens = torch.randn(1, 16, 5, dtype=torch.float64)
    base, others = dato.split_tokens(torch.zeros(1, 4, dtype=torch.long), 4, 4, 2)
    chosen = dato.prune(tokens, base, others, 6, "kept")
    kept = chosen.kept[0].tolist()
    unit = tokens[0] / tokens[0].norm(dim=-1, keepdim=True)
    taken = set()
    for i in set(range(16)) - set(kept):
        nearest = max(kept, key=lambda j: float(unit[i] @ unit[j]))
        assert kept[chosen.back[0, i]] == nearest
        taken.add(nearest)
    assert taken - set(base[0].tolist()), "no token was recovered from one that is not a base"


def watch(pipe: Any, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Every pruning of the generations to come: call, site, inputs and what was chosen."""
    seen: list[dict[str, Any]] = []
    through = ReducedSelfAttention.through

    def spy(self: Any, chosen: Any, tokens: Any, attention: Any) -> Any:
        seen.append(
            {
                "call": self.clock.call,
                "branch": self.clock.guidance_pass,
                "site": self.site.name,
                "shape": self.shape,
                "kept": chosen.kept,
                "back": chosen.back,
            }
        )
        return through(self, chosen, tokens, attention)

    monkeypatch.setattr(ReducedSelfAttention, "through", spy)
    return seen


def predictions(pipe: Any) -> list[Array]:
    found: list[Array] = []
    pipe.unet.conv_out.register_forward_hook(
        lambda _, __, output: found.append(output.double().numpy())
    )
    return found


def base_of(one: dict[str, Any], row: int) -> list[int]:
    """The base tokens are the last of the reduced sequence."""
    cells = (one["shape"][0] // 2) * (one["shape"][1] // 2)
    found: list[int] = one["kept"][row, -cells:].tolist()
    return found


@pytest.mark.parametrize("align", [True, False])
def test_in_a_generation(monkeypatch: pytest.MonkeyPatch, align: bool) -> None:
    """Scores come from the two predictions before, and the conditional row's serve both."""
    pipe = build()
    seen, outputs = watch(pipe, monkeypatch), predictions(pipe)
    accel.apply(pipe, strategy({"dato": {"ratio": 0.5, "align_cfg": align}}))
    draw(pipe)
    assert len(seen) == 6 * 3
    for one in seen:
        call = one["call"]
        if call < 2:
            assert base_of(one, 0) == base_of(one, 1)
            continue
        for row in (0, 1):
            source = 1 if align else row
            score = equation_6(outputs[call - 1][source], outputs[call - 2][source])
            assert base_of(one, row) == equation_7(score, 2)


def test_a_repeated_prediction_keeps_the_score(monkeypatch: pytest.MonkeyPatch) -> None:
    pipe = build()
    seen, outputs = watch(pipe, monkeypatch), predictions(pipe)
    methods = {"dato": {"ratio": 0.5}, "deepcache": {"depth": ["full", "full", 0, 0, "full", 1]}}
    accel.apply(pipe, strategy(methods))
    draw(pipe)
    assert len(outputs) == 4
    score = equation_6(outputs[1][1], outputs[0][1])
    after = [one for one in seen if one["call"] == 4]
    assert len(after) == 3
    assert base_of(after[0], 0) == equation_7(score, 2)
    last = next(one for one in seen if one["call"] == 5)
    assert base_of(last, 0) == equation_7(equation_6(outputs[2][1], outputs[1][1]), 2)


def test_smaller_grids_get_the_pooled_score(monkeypatch: pytest.MonkeyPatch) -> None:
    pipe = build("sdxl")
    seen, outputs = watch(pipe, monkeypatch), predictions(pipe)
    accel.apply(pipe, strategy({"dato": {"ratio": 0.5, "levels": 2}}))
    draw(pipe)
    grids = {tuple(one["shape"]) for one in seen}
    assert grids == {(8, 8), (4, 4)}
    for one in [one for one in seen if one["call"] == 3]:
        size = one["shape"][0]
        score = equation_6(outputs[2][1], outputs[1][1])
        pooled = score.reshape(size, 16 // size, size, 16 // size).mean(axis=(1, 3))
        assert base_of(one, 0) == equation_7(pooled, 2)


def test_knobs_of_the_published_code_change_the_image(pipe: Any) -> None:
    found = []
    for knobs in ({}, {"recover": "kept"}, {"noise": 1.0}, {"diff_score": False}):
        for seed in (0, 1):
            accel.apply(pipe, strategy({"dato": {"ratio": 0.6, "seed": seed} | knobs}))
            found.append(draw(pipe))
            assert torch.equal(draw(pipe), found[-1])
    assert all(not torch.equal(found[i], found[j]) for i in range(len(found)) for j in range(i))
