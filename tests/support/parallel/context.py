"""One of two processes that share the tokens of a network.

Each generates alone first, and then together with the other.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from diffusers import ContextParallelConfig

import accel
from strategies import Strategy, StrategyError
from tests.support.parallel.processes import COUNT
from tests.support.pipelines import stack_pipelines, transformer_pipelines
from tests.support.stacks.token_cases import METHODS

KEPT = [True, False, True, False, False, True]
CASES: dict[str, dict[str, Any]] = {
    "fora": {"fora": {"attn": KEPT, "mlp": KEPT, "order": 1}},
    "deltacache": {"deltacache": {"depth": ["full", 1, 0, "full", 1, "skip"], "order": 1}},
    "deltacache with a tail": {
        "deltacache": {"depth": ["full", 0, 0, "full", 1, 0], "tail": [0, 1, 0, 0, 0, 1]}
    },
    "guidance+deltacache": {
        "guidance": {"mode": ["full", "off", "reuse", "full", "off", "off"]},
        "deltacache": {"depth": ["full", 1, 0, "full", 1, 0]},
    },
}
TOKENS = {name: METHODS[name] for name in ("cat", "atedm", "toca")}
Result = dict[str, Any]


def build(name: str) -> Any:
    return transformer_pipelines.build(name) if name == "flux" else stack_pipelines.build(name)


def draw(pipe: Any, name: str) -> torch.Tensor:
    if name == "flux":
        return transformer_pipelines.draw(pipe)
    return stack_pipelines.draw(pipe, name, **_even(stack_pipelines.tiny_of(name).given(1, 0)))


def _even(given: dict[str, Any]) -> dict[str, Any]:
    """Embeddings of a number of tokens that the processes can share equally."""
    return {
        name: value[:, : value.shape[1] // COUNT * COUNT]
        for name, value in given.items()
        if isinstance(value, torch.Tensor) and value.ndim > 1
    }


def strategy(name: str, methods: dict[str, Any]) -> Strategy:
    kind = transformer_pipelines if name == "flux" else stack_pipelines
    return kind.strategy(name, methods)


def share(pipe: Any) -> None:
    """Let the processes share the tokens of every network of a pipeline."""
    for name in ("transformer", "transformer_2"):
        network = getattr(pipe, name, None)
        if network is not None:
            network.enable_parallelism(config=ContextParallelConfig(ulysses_degree=COUNT))


def distance(one: torch.Tensor, other: torch.Tensor) -> float:
    return float((one - other).abs().max() / other.abs().max())


def check(name: str) -> Result:
    """Distances of latents with shared tokens to those of one process, by case."""
    pipe = build(name)
    plain, alone = draw(pipe, name), {}
    for case, methods in CASES.items():
        accel.apply(pipe, strategy(name, methods))
        alone[case] = draw(pipe, name)
        accel.remove(pipe)
    found: Result = {"acts": {case: distance(one, plain) for case, one in alone.items()}}
    accel.apply(pipe, strategy(name, CASES["deltacache"]))
    draw(pipe, name)
    share(pipe)
    found["applied before"] = distance(draw(pipe, name), alone["deltacache"])
    accel.remove(pipe)
    shared = draw(pipe, name)
    found["unaccelerated"] = distance(shared, plain)
    found["together"] = {}
    for case, methods in CASES.items():
        accel.apply(pipe, strategy(name, methods))
        first = draw(pipe, name)
        found["together"][case] = distance(first, alone[case])
        found.setdefault("again", []).append(torch.equal(draw(pipe, name), first))
        found.setdefault("did", []).append([(r.depth, r.reused) for r in accel.stats(pipe)])
        accel.remove(pipe)
    found["removed"] = torch.equal(draw(pipe, name), shared)
    return found | {"refused": refusals(name, pipe)}


def refusals(name: str, pipe: Any) -> dict[str, str]:
    """Errors of methods that need all tokens, applied before or after these are shared."""
    errors = {}
    ahead = {"paradigms": {"paradigms": {"window": 3}}} if name == "flux" else {}
    for method, knobs in (TOKENS | ahead).items():
        try:
            accel.apply(pipe, strategy(name, {method: knobs[method]}))
        except StrategyError as error:
            errors[method] = str(error)
    if name in ("flux", "wan"):
        other = build(name)
        accel.apply(other, strategy(name, {"cat": TOKENS["cat"]["cat"]}))
        share(other)
        try:
            draw(other, name)
        except StrategyError as error:
            errors["cat, applied before"] = str(error)
    return errors


def main(rank: int, folder: Path, names: list[str]) -> None:
    torch.set_num_threads(1)
    # diffusers counts accelerators, and a computer without one has none.
    torch.accelerator.device_count = lambda: 1
    dist.init_process_group(
        "gloo", init_method=f"file://{folder / 'store'}", rank=rank, world_size=COUNT
    )
    found = {name: check(name) for name in names}
    (folder / f"{rank}.json").write_text(json.dumps(found), "utf-8")
    dist.destroy_process_group()
