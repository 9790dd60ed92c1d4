"""Strategies as cache-dit's settings, checked by running cache-dit with the written file."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import cache_dit
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import accel
import strategies
from accel.caching.extrapolation import extrapolate
from strategies import Strategy, StrategyError
from strategies.cli import main
from strategies.exchange import cache_dit_import
from strategies.exchange.block_cache import slopes
from strategies.exchange.cache_dit import cache_dit as exported
from strategies.methods.fora import COMPONENTS, FORA
from tests.accel.methods.test_fora import MODELS, strategy
from tests.support.pipelines import stack_pipelines as stack_pipes
from tests.support.pipelines.transformer_pipelines import build, draw
from tests.support.pipelines.transformer_pipelines import strategy as made
from tests.support.pipelines.unet_pipelines import once

CALLS = 12
MIXED = [True, False, False, True, True, False, True, False, False, False, True, False]


def whole(full: Sequence[Any], order: Any = 0) -> Strategy:
    knobs = {"attn": full, "cross": full, "mlp": full, "order": order}
    return strategy(knobs, len(full))


@contextlib.contextmanager
def cached(pipe: Any, path: Path) -> Iterator[None]:
    """cache-dit with the settings of a file."""
    cache_dit.enable_cache(pipe, **cache_dit.load_configs(str(path)))
    try:
        yield
    finally:
        cache_dit.disable_cache(pipe)


def written(one: Strategy, folder: Path) -> Path:
    """The file that the command writes for a strategy."""
    source, target = folder / "one.json", folder / "cache-dit.json"
    strategies.save(one, source)
    with contextlib.redirect_stdout(io.StringIO()) as out:
        code = main(["export", str(source), "--to", "cache-dit", "--out", str(target)])
    assert code == 0
    assert out.getvalue().startswith(f"{target}: cache-dit 1.5.3, {one.steps} steps")
    return target


class Watch:
    """What each call gave to the blocks, what left the first of them and what left them all."""

    def __init__(self, pipe: Any) -> None:
        network = pipe.transformer
        self.ran: list[list[int]] = []
        self.added: list[torch.Tensor] = []
        first = network.transformer_blocks[0]
        network.register_forward_pre_hook(lambda *_: self.ran.append([]))
        for index, block in enumerate(network.transformer_blocks):
            block.register_forward_hook(lambda *_, i=index: self.ran[-1].append(i))
        first.register_forward_hook(lambda _, __, output: self.added.append(output))
        network.norm_out.register_forward_pre_hook(self._leave)

    def _leave(self, _: Any, args: Any) -> None:
        self.added[-1] = args[0] - self.added[-1]

    def full(self) -> list[bool]:
        """Of each call, whether all blocks ran; where not, it must have been the first alone."""
        assert all(blocks in ([0, 1, 2], [0]) for blocks in self.ran)
        return [len(blocks) == 3 for blocks in self.ran]


@pytest.mark.parametrize(("model", "rule"), once(MODELS, [2, 3, 5, 7, "mixed", "all"]))
def test_cache_dit_computes_at_the_same_calls(model: str, rule: Any, tmp_path: Path) -> None:
    full = list(FORA.published(CALLS, rule).attn) if isinstance(rule, int) else MIXED
    full = [True] * CALLS if rule == "all" else full
    pipe, one = build(model), whole(full)
    plain = draw(pipe, CALLS)
    with accel.accelerated(pipe, one):
        ours = draw(pipe, CALLS)
        assert [not record.reused for record in accel.stats(pipe)] == full
    with cached(pipe, written(one, tmp_path)):
        watch = Watch(pipe)
        theirs = draw(pipe, CALLS)
        assert watch.full() == full
        assert torch.equal(draw(pipe, CALLS), theirs)
        assert watch.full() == full * 2
        draw(pipe, CALLS, batch=3)
        assert watch.full() == full * 3
    assert torch.equal(draw(pipe, CALLS), plain)
    # The residual of all blocks is reused instead of each sublayer's output, before its gate.
    assert torch.equal(ours, theirs) == torch.equal(theirs, plain) == (rule == "all")


@pytest.mark.parametrize("model", ["sd3", "sd35", "flux"])
def test_cache_dit_computes_at_the_same_calls_of_joint_attention(
    model: str, tmp_path: Path
) -> None:
    """Every pass runs the first block, and all of them where the strategy computes."""
    full = list(FORA.published(CALLS, 3).attn)
    one = made(model, {"fora": {"attn": full, "mlp": full}}, CALLS)
    pipe = build(model)
    network = pipe.transformer
    blocks = [*network.transformer_blocks, *getattr(network, "single_transformer_blocks", ())]
    guidance = 1.0 if model == "flux" else 4.0  # As two passes, cache-dit would count them both.
    plain, ran = draw(pipe, CALLS, guidance=guidance), []
    with cached(pipe, written(one, tmp_path)):
        hooks = [network.register_forward_pre_hook(lambda *_: ran.append(0))]
        for block in blocks:
            hooks.append(block.register_forward_hook(lambda *_: ran.append(ran.pop() + 1)))
        theirs = draw(pipe, CALLS, guidance=guidance)
        for hook in hooks:
            hook.remove()
    assert ran == [len(blocks) if computed else 1 for computed in full]
    assert not torch.equal(theirs, plain)
    assert torch.equal(draw(pipe, CALLS, guidance=guidance), plain)


@pytest.mark.parametrize(
    ("model", "kind"), once([*MODELS, "sd3", "sd35", "flux"], [(0, 0), (1, 0), (0, 1)])
)
def test_deltacache_is_what_cache_dit_does(
    model: str, kind: tuple[int, int], tmp_path: Path
) -> None:
    """The same blocks run, and the latents are the same to rounding."""
    tail, order = kind
    pipe = build(model).to(dtype=torch.float64)
    orders = slopes(tuple(MIXED)) if order else 0
    knobs = {"depth": ["full" if one else 1 for one in MIXED], "tail": tail, "order": orders}
    one = made(model, {"deltacache": knobs}, CALLS)
    guidance = 1.0 if model == "flux" else 4.0  # As two passes, cache-dit would count them both.
    plain = draw(pipe, CALLS, guidance=guidance)
    with accel.accelerated(pipe, one):
        ours = draw(pipe, CALLS, guidance=guidance)
    path = written(one, tmp_path)
    with cached(pipe, path):
        theirs = draw(pipe, CALLS, guidance=guidance)
    assert (ours - theirs).norm() < 1e-9 * ours.norm()
    assert (ours - plain).norm() > 1e-5 * ours.norm()
    assert cache_dit_import.imported(str(path)).digest == one.digest


def test_guidance_in_two_passes(tmp_path: Path) -> None:
    """cache-dit knows that Qwen-Image has two passes; the file leaves that to it."""
    name = "qwen"
    pipe = stack_pipes.build(name)
    one = stack_pipes.strategy(name, {"deltacache": {"depth": ["full", 1, 1, "full", 1, "full"]}})
    plain = stack_pipes.draw(pipe, name)
    with accel.accelerated(pipe, one):
        ours = stack_pipes.draw(pipe, name)
    with cached(pipe, written(one, tmp_path)):
        theirs = stack_pipes.draw(pipe, name)
    assert (ours - theirs).norm() < 1e-5 * ours.norm()
    assert (ours - plain).norm() > 1e-4 * ours.norm()


@pytest.mark.parametrize("order", [0, 1])
def test_what_stands_in_for_the_blocks(order: int, tmp_path: Path) -> None:
    """Order 0 repeats what the blocks added; order 1 is the line, once cache-dit draws it."""
    pipe = build("pixart").to(dtype=torch.float64)
    orders = [order if call > 2 else 0 for call in range(CALLS)]
    one = whole(MIXED, orders)
    with cached(pipe, written(one, tmp_path)):
        watch = Watch(pipe)
        draw(pipe, CALLS)
        draw(pipe, CALLS)  # Nothing of the first image is left for the second.
    for first in (0, CALLS):
        known = []
        for call, added in enumerate(watch.added[first : first + CALLS]):
            if MIXED[call]:
                known.append((call, added))
            else:
                meant = one.canonical().methods["fora"].at(call).get("order", 0)
                assert meant == (order if call > 2 else 0)
                assert (added - extrapolate(known, call, meant)).norm() < 1e-9 * added.norm()


@settings(max_examples=100, deadline=None)
@given(st.lists(st.booleans(), min_size=1, max_size=12), st.data())
def test_masks_and_orders(full: list[bool], data: st.DataObject) -> None:
    """The mask is the calls computed; an order is exported or refused, never dropped."""
    calls = len(full)
    order = data.draw(st.lists(st.integers(0, 2), min_size=calls, max_size=calls))
    one = whole(full, order)
    found = one.canonical().methods.get("fora", FORA(attn=(True,) * calls))
    assert isinstance(found, FORA)
    left = found.order
    last = [max(c for c in range(call + 1) if c == 0 or full[c]) for call in range(calls)]
    same = all(left[c] == (1 if last[c] > 2 else 0) for c in range(calls) if last[c] < c)
    if not any(left) or same:
        config = exported(one)["cache_config"]
        assert config["steps_computation_mask"] == [1, *map(int, full[1:])]
        assert config.get("taylorseer_order") == (1 if any(left) else None)
        assert config["num_inference_steps"] == calls
    else:
        with pytest.raises(StrategyError, match=r"cannot express fora.order\[\d+\]"):
            exported(one)


def test_the_file_says_what_it_is(tmp_path: Path) -> None:
    one = strategies.load("fora-n3")
    data = json.loads(written(one, tmp_path).read_text())
    assert data["versions"] == {name: version(name) for name in data["versions"]}
    assert data["strategy"]["digest"] == one.digest
    assert (data["strategy"]["scheduler"], data["strategy"]["steps"]) == ("DDIMScheduler", 250)
    assert sum(data["cache_config"]["steps_computation_mask"]) == 84
    config: Any = cache_dit.load_configs(data)["cache_config"]
    for key, value in data["cache_config"].items():
        assert getattr(config, key) == value


def test_nothing_to_do_is_a_mask_of_ones() -> None:
    one = Strategy.create(family="dit", scheduler="DDIMScheduler", steps=3, calls=3)
    assert exported(one)["cache_config"]["steps_computation_mask"] == [1, 1, 1]


OFF = [True, False, False]


@pytest.mark.parametrize(
    ("methods", "message"),
    [
        ({"fora": {"attn": OFF, "cross": OFF}}, r"call 1, where fora.attn is false and fora.mlp t"),
        ({"fora": {"attn": OFF, "mlp": OFF}}, r"fora.cross true; .*a DiT has no cross-attention"),
        (
            {"fora": {name: [True, True, [True, False]] for name in COMPONENTS}},
            r"fora.attn\[2\], which is \[true, false\]; it reuses all groups of blocks or none",
        ),
        ({"fora": dict.fromkeys(COMPONENTS, OFF), "tgate": {"gate": 1}}, "tgate"),
    ],
)
def test_what_a_mask_cannot_express_is_named(
    methods: Any, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = Strategy.create(
        family="dit", scheduler="DDIMScheduler", steps=3, calls=3, methods=methods
    )
    with pytest.raises(StrategyError, match=message):
        exported(one)
    path = tmp_path / "x.json"
    strategies.save(one, path)
    assert main(["export", str(path), "--to", "cache-dit", "--out", str(tmp_path / "y")]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: cache-dit's steps mask cannot express")
    assert len(err.splitlines()) == 1
    assert not (tmp_path / "y").exists()


def test_other_families_and_tools(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", "deepcache-n3", "--to", "cache-dit"]) == 2
    assert "cannot express methods.deepcache; only deltacache, or fora" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["export", "fora-n3", "--to", "toaster"])
    assert "invalid choice: 'toaster'" in capsys.readouterr().err
    (tmp_path / "file").write_text("")
    below = str(tmp_path / "file" / "x.json")
    assert main(["export", "fora-n3", "--to", "cache-dit", "--out", below]) == 2
    assert "cannot be written" in capsys.readouterr().err
