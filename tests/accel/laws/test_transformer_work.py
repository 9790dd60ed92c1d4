"""Laws 5 and 8 on transformers: work that is skipped, counted by hand, and what caches hold."""

from __future__ import annotations

import functools
import gc
import weakref
from typing import Any

import pytest
import torch
from torch import nn

import accel
from accel import families
from accel.registry import applied_strategy
from accel.tokens.partial_forward import PartialForward
from tests.support.pipelines.law_cases import cases, law
from tests.support.pipelines.transformer_pipelines import (
    ALL,
    MODELS,
    InTheMiddleError,
    build,
    draw,
    failing,
    strategy,
)


def macs(pipe: Any, model: str, methods: Any) -> list[int]:
    accel.apply(pipe, strategy(model, methods))
    with accel.measuring(pipe, macs=True):
        draw(pipe)
    return [record.macs or 0 for record in accel.stats(pipe)]


@law(5)
@pytest.mark.parametrize(("model", "name"), cases(1))
def test_every_case_saves_work(model: str, name: str) -> None:
    work = macs(build(model), model, ALL[name])
    if "paradigms" in ALL[name]:  # Calls are computed ahead, with others.
        assert max(work) > unaccelerated(model) / len(work)
    else:
        assert sum(work) < unaccelerated(model)


@functools.cache
def unaccelerated(model: str) -> int:
    return sum(macs(build(model), model, {}))


def saved_by_linear_maps(pipe: Any, text: int) -> int:
    """Multiplications per image token and row, of all linear maps that image tokens go through."""
    sizes: list[int] = []

    def look(module: nn.Module, args: Any, output: torch.Tensor) -> None:
        if output.ndim == 3 and output.shape[1] in (64, 64 + text):
            sizes.append(args[0].shape[-1] * output.shape[-1])

    linear = [m for m in pipe.transformer.modules() if isinstance(m, nn.Linear)]
    embedder = getattr(pipe.transformer, "x_embedder", None)  # FLUX's runs on all tokens.
    hooks = [m.register_forward_hook(look) for m in linear if m is not embedder]
    draw(pipe, 1)
    for hook in hooks:
        hook.remove()
    return sum(sizes)


@pytest.mark.parametrize("model", MODELS)
def test_a_partial_call_does_the_work_of_its_tokens(model: str) -> None:
    """All that runs on image tokens is less by the share left out, but attention has all keys."""
    pipe = build(model)
    text = text_tokens(pipe, model)
    passes, rows = (2, 1) if model == "flux" else (1, 2)
    linear = saved_by_linear_maps(pipe, text) // passes
    counts = macs(pipe, model, {"cat": {"alpha": [1, 1, 0.25, 0.5, 1, 1], "clusters": 5}})
    by_call = [sum(counts[i * passes : (i + 1) * passes]) for i in range(6)]
    assert by_call[0] == by_call[1] == by_call[4] == by_call[5]
    heads = pipe.transformer.config
    inner = heads.num_attention_heads * heads.attention_head_dim
    # Keys that each query meets, over all attentions; two products each.
    keys = {
        "dit": 3 * 64,
        "pixart": 3 * (64 + text),
        "sd3": 3 * (64 + text),
        "sd35": 3 * (64 + text) + 2 * 64,
        "flux": 4 * (64 + text),
    }
    # Choosing is counted, too: pooling over neighbours, before it eleven distances and ten means.
    width = 4 if model == "pixart" else 16
    pooling = 2 * 7 * 8 * 5**2 + 5**2 * width
    clustering = (11 + 10) * 64 * 5 * width
    for call, left_out, choosing in ((2, 48, clustering + pooling), (3, 32, pooling)):
        saved = passes * rows * left_out * (linear + 2 * inner * keys[model])
        assert by_call[0] - by_call[call] == saved - choosing


@pytest.mark.parametrize("model", MODELS)
def test_norms_before_reused_parts_do_not_run(model: str) -> None:
    """Where a part reuses, its norm gives no tokens; a norm that others need runs in full."""
    pipe = build(model)
    _, sites = families.find_sites(pipe)
    seen: dict[Any, list[int]] = {norm: [] for part in sites.parts for norm in part.norms}
    for norm, counts in seen.items():
        norm.register_forward_hook(lambda _, __, out, counts=counts: counts.append(out.shape[1]))
    calls = {"attn": [True, False, False, True, False, True], "mlp": [True, False, True] * 2}
    accel.apply(pipe, strategy(model, {"fora": calls}))
    draw(pipe)
    kinds = {norm: {k for p in sites.parts if norm in p.norms for k in p.kinds} for norm in seen}
    passes = 2 if model == "flux" else 1
    for norm, counts in seen.items():
        runs = [any(calls[kind][call] for kind in kinds[norm]) for call in range(6)]
        assert [count > 0 for count in counts] == [run for run in runs for _ in range(passes)]


def text_tokens(pipe: Any, model: str) -> int:
    if model == "dit":
        return 0
    seen: list[int] = []

    def look(_: Any, __: Any, kwargs: Any) -> None:
        seen.append(kwargs["encoder_hidden_states"].shape[1])

    hook = pipe.transformer.register_forward_pre_hook(look, with_kwargs=True)
    draw(pipe)
    hook.remove()
    return seen[0]


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("method", ["cat", "atedm"])
def test_the_modules_see_the_tokens_of_their_call(model: str, method: str) -> None:
    pipe = build(model)
    seen: dict[str, list[int]] = {"linear": [], "query": [], "output": []}
    stream = _stream(pipe, model)
    text = text_tokens(pipe, model) if model == "flux" else 0  # Its last block runs both together.
    stream.project.register_forward_pre_hook(lambda _, a: seen["linear"].append(a[0].shape[1]))
    last: Any = stream.attentions[-1].module
    last.to_q.register_forward_pre_hook(lambda _, a: seen["query"].append(a[0].shape[1] - text))
    accel.apply(pipe, strategy(model, {method: {"alpha": [1, 1, 0.3, 0.5, 1, 0.01]}}))
    draw(pipe)
    passes = 2 if model == "flux" else 1
    kept = [n for n in (64, 64, 19, 32, 64, 1) for _ in range(passes)]
    assert seen["linear"] == seen["query"] == kept
    tokens = [record.tokens.get("image", (64, 64)) for record in accel.stats(pipe)]
    assert tokens == [(64, n) for n in kept]


def _stream(pipe: Any, model: str) -> Any:
    with accel.accelerated(pipe, strategy(model, {})):
        return applied_strategy(pipe).sites.stream


def tensors() -> set[int]:
    gc.collect()
    return {id(o) for o in gc.get_objects() if isinstance(o, torch.Tensor) and o.numel() > 64}


@law(8)
@pytest.mark.parametrize(("model", "name"), cases(2))
def test_caches_are_freed(model: str, name: str) -> None:
    """No tensor that a generation made is alive when it is over, nor when a strategy is removed."""
    pipe = build(model)
    draw(pipe)
    accel.apply(pipe, strategy(model, ALL[name]))
    before = tensors()
    draw(pipe)
    assert tensors() - before == set()
    with pytest.raises(InTheMiddleError), failing(pipe, 3):
        draw(pipe)
    accel.remove(pipe)
    assert tensors() - before == set()


def held(value: Any, depth: int = 6) -> list[torch.Tensor]:
    """Tensors inside containers and records of the samplers' own."""
    if isinstance(value, torch.Tensor):
        return [value]
    inside: list[Any] = []
    if isinstance(value, dict):
        inside = list(value.values())
    elif isinstance(value, list | tuple):
        inside = list(value)
    elif type(value).__module__.startswith("accel."):
        inside = list(vars(value).values())
    return [t for one in inside if depth for t in held(one, depth - 1)]


def watch(pipe: Any, kinds: Any) -> list[list[torch.Size]]:
    """Shapes of the features that a listener of a kind holds after each call."""
    found: list[list[torch.Size]] = []
    run = next(one for one in applied_strategy(pipe)._clock.listeners if isinstance(one, kinds))
    own = {k: v for k, v in vars(run).items() if k not in ("clock", "sites", "stream", "_watched")}
    step = pipe.scheduler.step

    def look(*args: Any, **kwargs: Any) -> Any:
        state = {k: vars(run)[k] for k in own}
        found.append([t.shape for t in held(state) if t.is_floating_point()])
        return step(*args, **kwargs)

    pipe.scheduler.step = look
    draw(pipe)
    return found


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("method", ["cat", "atedm"])
def test_only_what_a_later_call_reads_is_kept(model: str, method: str) -> None:
    """Keys and values right before calls that take them, nothing once no call takes any."""
    pipe = build(model)
    accel.apply(pipe, strategy(model, {method: {"alpha": [1, 1, 1, 0.5, 1, 1]}}))
    after = watch(pipe, PartialForward)
    stream = applied_strategy(pipe).sites.stream
    assert stream is not None
    passes = 2 if model == "flux" else 1
    keys = 2 * len(stream.attentions) * passes
    if method == "cat":
        # The reference at call 1, then the prediction; the clusters come with the next call.
        assert [len(shapes) for shapes in after] == [0, passes, passes + 1 + keys, 0, 0, 0]
    else:
        assert [len(shapes) for shapes in after] == [0, 0, passes * 3 + keys, 0, 0, 0]


def test_a_pass_that_ends_leaves_nothing() -> None:
    """Keys of the third pass of skip-layer guidance go when it is over."""
    pipe = build("sd3")
    accel.apply(pipe, strategy("sd3", {"cat": {"alpha": 0.5}}))
    run = next(
        one for one in applied_strategy(pipe)._clock.listeners if isinstance(one, PartialForward)
    )
    branches: list[set[int]] = []
    step = pipe.scheduler.step

    def look(*args: Any, **kwargs: Any) -> Any:
        branches.append(set(run._kept))
        return step(*args, **kwargs)

    pipe.scheduler.step = look
    draw(
        pipe,
        skip_guidance_layers=[1],
        skip_layer_guidance_start=0.3,
        skip_layer_guidance_stop=0.5,
    )
    assert [r.call for r in accel.stats(pipe) if r.branch == 1] == [2]
    assert branches[1:] == [{0}, {0, 1}, {0, 1}, {0}, set()]


def test_nothing_of_a_generation_outlives_its_pipeline() -> None:
    pipe = build("flux")
    accel.apply(pipe, strategy("flux", ALL["cat"]))
    with pytest.raises(InTheMiddleError), failing(pipe, 7):
        draw(pipe)
    run = weakref.ref(applied_strategy(pipe)._clock)
    del pipe
    gc.collect()
    assert run() is None
