"""Partial calls against all tokens running with old keys and values, and how stale a token gets."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from diffusers import DiTPipeline
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import accel
from accel.registry import applied_strategy
from accel.token_selection import TokenSelection
from accel.tokens.partial_forward import PartialForward
from tests.support.pipelines.transformer_pipelines import FREE_SIZE, MODELS, build, draw, strategy
from tests.support.pipelines.unet_pipelines import spread
from tests.support.scripted_tokens import Scripted

CHOICES: list[Any] = [None, None, 0.3, 0.5, None, 0.25]


class Reference:
    """All 64 tokens run at every call; rows that are not chosen are put back where it matters.

    After keys and values of every attention over image tokens, and after the projection, rows that
    are not chosen are overwritten with those of the last call at which they were.
    """

    def __init__(self, pipe: Any, chosen: dict[int, Tensor], two_passes: bool) -> None:
        self.chosen, self.two_passes = chosen, two_passes
        self.call, self.branch = -1, 0
        self.kept: dict[tuple[str, int], Tensor] = {}
        denoiser = pipe.transformer
        denoiser.register_forward_pre_hook(self.count)
        joint = hasattr(denoiser.config, "joint_attention_dim")
        for name, module in denoiser.named_modules():
            parts = name.split(".")
            if parts[-1] in ("to_k", "to_v") and ("attn2" not in parts or joint):
                module.register_forward_hook(self.restore(name))
        last = "proj_out_2" if isinstance(pipe, DiTPipeline) else "proj_out"
        getattr(denoiser, last).register_forward_hook(self.restore("last"))

    def count(self, *_: Any) -> None:
        self.branch = 1 - self.branch if self.two_passes and self.call >= 0 else 0
        self.call += self.branch == 0

    def restore(self, name: str) -> Callable[..., Tensor]:
        def hook(module: Any, args: Any, made: Tensor) -> Tensor:
            index, key = self.chosen.get(self.call), (name, self.branch)
            if index is not None:
                text = made.shape[1] - 64
                runs = torch.ones(len(index), made.shape[1], dtype=torch.bool)
                runs[:, text:] = False
                runs.scatter_(1, index + text, True)
                runs = runs.repeat(len(made) // len(index), 1)
                made = torch.where(runs[..., None], made, self.kept[key])
            self.kept[key] = made
            return made

        return hook


def compared(model: str, change: Callable[[Any], None], **given: Any) -> tuple[Tensor, Tensor]:
    """Latents of partial calls and of the reference, both after `change` to the pipeline."""
    pipe = build(model).to(dtype=torch.float64)
    alpha = [1.0 if share is None else share for share in CHOICES]
    accel.apply(pipe, strategy(model, {"cat": {"alpha": alpha}}))
    scripted = Scripted(pipe)
    change(pipe)
    mine = draw(pipe, **given)
    assert sorted(scripted.chosen) == [2, 3, 5]
    assert accel.stats(pipe)[-1].tokens == {"image": (64, 16)}
    other = build(model).to(dtype=torch.float64)
    change(other)
    plain = draw(other, **given)
    assert (mine - plain).norm() > 1e-2 * plain.norm()
    Reference(other, scripted.chosen, model == "flux" and given.get("guidance") != 1.0)
    return mine, draw(other, **given)


@pytest.mark.parametrize(
    ("model", "guidance", "batch"), spread(MODELS, [4.0, 1.0], [1, 2], every=2)
)
def test_partial_calls_equal_all_tokens_with_old_keys(
    model: str, guidance: float, batch: int
) -> None:
    mine, reference = compared(model, lambda pipe: None, guidance=guidance, batch=batch)
    # diffusers turns queries and keys of FLUX in single precision.
    bound = 1e-5 if model == "flux" else 1e-10
    assert (mine - reference).norm() < bound * reference.norm()


NAMES = {
    "sd3": {"block_controlnet_hidden_states": 3},
    "sd35": {"block_controlnet_hidden_states": 2},
    "flux": {"controlnet_block_samples": 2, "controlnet_single_block_samples": 1},
}


@pytest.mark.parametrize("model", NAMES)
def test_what_a_controlnet_adds_is_narrowed(model: str) -> None:
    def control(pipe: Any) -> None:
        forward = pipe.transformer.forward
        random = torch.Generator().manual_seed(0)
        added = {
            name: [torch.randn(1, 64, 32, generator=random).double() for _ in range(count)]
            for name, count in NAMES[model].items()
        }

        def run(*args: Any, **kwargs: Any) -> Any:
            rows = len(kwargs["hidden_states"])
            more = {n: [one.repeat(rows, 1, 1) for one in v] for n, v in added.items()}
            return forward(*args, **kwargs, **more)

        pipe.transformer.forward = run

    mine, reference = compared(model, control)
    assert (mine - reference).norm() < 1e-5 * reference.norm()
    without, _ = compared(model, lambda pipe: None)
    assert (mine - without).norm() > 1e-2 * mine.norm()


@pytest.mark.parametrize(("model", "name"), spread(MODELS, ["cat", "atedm"], every=1))
def test_calls_before_the_start_are_untouched(model: str, name: str) -> None:
    pipe = build(model)
    plain, mine = steps_of(pipe), []
    accel.apply(pipe, strategy(model, {name: {"alpha": 0.3, "start": 4}}))
    mine = steps_of(pipe)
    equal = [torch.equal(a, b) for a, b in zip(plain, mine, strict=True)]
    assert equal == [True] * 4 + [False] * 2


def steps_of(pipe: Any) -> list[Tensor]:
    """What the solver is given at each call."""
    seen: list[Tensor] = []
    step = pipe.scheduler.step

    def look(output: Tensor, *args: Any, **kwargs: Any) -> Any:
        seen.append(output.clone())
        return step(output, *args, **kwargs)

    pipe.scheduler.step = look
    draw(pipe)
    pipe.scheduler.step = step
    return seen


@pytest.mark.parametrize("model", FREE_SIZE)
def test_tokens_that_did_not_run_keep_their_prediction(model: str) -> None:
    """On a grid of another shape: what changes between calls are the chosen patches alone."""
    pipe = build(model)
    accel.apply(pipe, strategy(model, {"cat": {"alpha": [1, 1, 0.3, 0.3, 1, 1]}}))
    scripted = Scripted(pipe)
    seen: list[Tensor] = []
    pipe.transformer.proj_out.register_forward_hook(lambda *a: seen.append(a[2]))
    whole: list[Tensor] = []
    pipe.transformer.register_forward_hook(
        lambda *a: whole.append(a[2][0] if isinstance(a[2], tuple) else a[2].sample)
    )
    draw(pipe, size=(24, 40), guidance=1.0)
    for call in (2, 3):
        changed = (seen[call] != seen[call - 1]).any(-1)[0].nonzero().flatten()
        assert changed.tolist() == scripted.chosen[call][0].tolist()
    assert whole[2].shape == whole[0].shape


ROWS = st.tuples(st.integers(1, 3), st.integers(1, 12), st.integers(0, 3), st.integers(1, 2))


@settings(max_examples=50, deadline=None)
@given(ROWS, st.data())
def test_take_and_put(shape: tuple[int, int, int, int], data: st.DataObject) -> None:
    images, total, text, times = shape
    count = data.draw(st.integers(1, total))
    places = [sorted(data.draw(st.permutations(range(total)))[:count]) for _ in range(images)]
    chosen = TokenSelection(torch.tensor(places), total)
    whole = torch.randn(images * times, text + total, 2)
    some = chosen.take(whole)
    for row in range(images * times):
        own = [whole[row, i] for i in range(text)]
        own += [whole[row, text + i] for i in places[row % images]]
        assert torch.equal(some[row], torch.stack(own))
    assert torch.equal(chosen.put(whole, some), whole)
    fresh = torch.randn_like(some)
    after = chosen.put(whole, fresh)
    assert torch.equal(chosen.take(after), fresh)
    left = [i for i in range(total) if i not in places[0]]
    assert torch.equal(after[0, text:][left], whole[0, text:][left])


@pytest.mark.parametrize("alpha", [0.2, 0.3, 0.5, 0.8])
@pytest.mark.parametrize("model", ["sd3", "flux"])
def test_every_token_runs_again_soon(model: str, alpha: float) -> None:
    """Three quarters of each selection are the stalest tokens, so all take their turn."""
    pipe, calls = build(model), 24
    accel.apply(pipe, strategy(model, {"cat": {"alpha": alpha}}, calls))
    run = next(
        one for one in applied_strategy(pipe)._clock.listeners if isinstance(one, PartialForward)
    )
    ran: list[set[int]] = []
    inner = run.choose

    def choose(noise: Tensor, count: int) -> Tensor | None:
        found = inner(noise, count)
        ran.append(set(range(64)) if found is None else set(found[0].tolist()))
        return found

    run.choose = choose  # type: ignore[method-assign]
    draw(pipe, calls)
    kept = int(alpha * 64)
    bound = math.ceil(64 / (kept - kept // 4)) + 1
    assert longest_wait(ran) <= bound
    assert len(ran) == calls - 1


def longest_wait(ran: list[set[int]]) -> int:
    """Calls from one at which a token ran to the next, over all tokens."""
    worst, last = 0, dict.fromkeys(range(64), -1)
    for call, tokens in enumerate(ran):
        for token in tokens:
            worst, last[token] = max(worst, call - last[token]), call
    return max(worst, *(len(ran) - call - 1 for call in last.values()))


def test_a_loop_that_steps_one_half_of_dits_guidance_is_narrowed() -> None:
    """DiT's pipeline steps both halves; a loop of one's own need not."""
    pipe = build("dit")
    accel.apply(pipe, strategy("dit", {"cat": {"alpha": [1, 1, 0.5, 0.5, 1, 1]}}))
    pipe.scheduler.set_timesteps(6)
    latents, labels = torch.zeros(1, 4, 16, 16), torch.tensor([7, 1000])
    with torch.no_grad():
        for t in pipe.scheduler.timesteps:
            both = pipe.transformer(torch.cat([latents] * 2), t.expand(2), labels).sample[:, :4]
            latents = pipe.scheduler.step(both[:1], t, latents).prev_sample
    tokens = [record.tokens.get("image") for record in accel.stats(pipe)]
    assert tokens == [None, None, (64, 32), (64, 32), None, None]


@pytest.mark.parametrize("text", [0, 3])
def test_rows_are_put_where_they_were_taken(text: int) -> None:
    index = torch.stack([torch.randperm(10)[:4], torch.randperm(10)[:4]])
    chosen = TokenSelection(index, total=10)
    whole = torch.randn(4, text + 10, 5)  # Two rows of each image.
    before = whole.clone()
    some = chosen.take(whole)
    assert torch.equal(chosen.put(whole, some), whole)
    put = chosen.put(whole, some + 1)
    assert torch.equal(chosen.take(put), some + 1)
    assert int((put != whole).all(-1).sum()) == 4 * (text + 4)
    assert torch.equal(whole, before)
