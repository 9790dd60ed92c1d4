"""Every transformer of diffusers under the laws of `deltacache`, on diffusers' own test models.

    python -m benchmarks run stacks --diffusers FOLDER

FOLDER is a checkout of diffusers, whose tests say how to build a tiny model of each class and what
to call it with; weights are random and lively. Of each model: a strategy that changes nothing must
be bit-equal, so must be the model after `remove`; with the input of the full call, a call that runs
no block must give what the full call gave; blocks must run as the strategy says; two generations
after each other must be those of fresh models. Where blocks have parts, `fora` must leave all of
them out and keep the prediction. Where the path of the image's tokens is known, calls that run only
some of them must keep the prediction of the same input, too. Writes
`benchmarks/results/stacks.json`, of which `docs/models.md` has the table.
"""

from __future__ import annotations

import argparse
import importlib
import inspect
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from diffusers import DDIMScheduler, FlowMatchEulerDiscreteScheduler
from torch.utils._pytree import tree_leaves

import accel
from accel import families
from accel.models.loading import quiet
from accel.sites import Sublayer
from accel.stack import Face, StackBlock, numbered
from benchmarks.entry import RESULTS
from evaluate.speed.timing import versions
from strategies import Strategy, StrategyError

CALLS = 4
NEAR = 2e-5  # Relative: what went in is taken from what came out, and added again.


class Loop:
    """A transformer and a solver under the names that a pipeline has.

    Args:
        transformer: the model.
        family: family of the transformer; DiT's and PixArt's have a solver of diffusion models.
    """

    def __init__(self, transformer: Any, family: str) -> None:
        self.transformer, self.time = transformer, ""
        self.rows = 1  # Images in the batch, which the solver tells the sampler.
        self.scheduler = DDIMScheduler() if family == "dit" else FlowMatchEulerDiscreteScheduler()

    @torch.no_grad()
    def draw(self, given: dict[str, Any]) -> list[torch.Tensor]:
        """Predictions of the transformer at each call, always for the same input."""
        self.scheduler.set_timesteps(CALLS)
        if hasattr(self.scheduler, "set_begin_index"):
            self.scheduler.set_begin_index(0)
        found = []
        if self.time:  # It must be given the schedule's own times: they are all the same here.
            alike = given[self.time].flatten()[0].to(self.scheduler.timesteps.dtype)
            self.scheduler.timesteps = alike.repeat(CALLS)
        for time in self.scheduler.timesteps:
            times = {self.time: time.expand(given[self.time].shape)} if self.time else {}
            found.append(flat(self.transformer(**(given | times))))
            self.scheduler.step(torch.zeros(self.rows, 1), time, torch.zeros(self.rows, 1))
        return found


def flat(output: Any) -> torch.Tensor:
    """All numbers in what a model returned."""
    return torch.cat([o.flatten().double() for o in tree_leaves(output) if torch.is_tensor(o)])


def configs(folder: Path) -> Iterator[Any]:
    """Test settings of each class in diffusers' tests, one for each class."""
    sys.path.insert(0, str(folder))
    seen: set[str] = set()
    for path in sorted((folder / "tests/models/transformers").glob("test_*.py")):
        try:
            module = importlib.import_module(f"tests.models.transformers.{path.stem}")
        except ImportError as error:
            print(f"{path.name}: {error}", flush=True)
            continue
        for kind in vars(module).values():
            if not inspect.isclass(kind) or kind.__module__ != module.__name__:
                continue
            try:
                made: Any = kind()
                name = made.model_class.__name__
            except Exception:  # No class that describes a model.
                continue
            if name not in seen and made.model_class.__module__.startswith("diffusers"):
                seen.add(name)
                yield made


def built(config: Any) -> tuple[Any, dict[str, Any]]:
    """A tiny model with lively weights, and what to call it with."""
    torch.manual_seed(0)
    if hasattr(config, "get_init_dict"):
        settings, given = config.get_init_dict(), config.get_dummy_inputs()
    else:
        settings, given = config.prepare_init_args_and_inputs_for_common()
    alone = settings.get("num_layers") == 1 and "num_single_layers" not in settings
    if alone:  # One block has no front.
        settings["num_layers"] = 2
    model = config.model_class(**settings).eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(torch.randn_like(weight) * 0.05)
    if torch.is_tensor(given.get("img_ids")):  # Random in some tests: here all are in one row.
        ids = torch.zeros_like(given["img_ids"])
        ids[..., 2] = torch.arange(ids.shape[-2])
        given["img_ids"] = ids
    return model, given


def strategy(pipe: Loop, methods: dict[str, Any]) -> Strategy:
    return Strategy.create(
        family=families.find_sites(pipe)[0],
        scheduler=type(pipe.scheduler).__name__,
        steps=CALLS,
        calls=CALLS,
        methods=methods,
    )


def depth(fronts: list[Any], **knobs: Any) -> dict[str, Any]:
    return {"deltacache": {"depth": fronts, **knobs}}


def check(config: Any) -> dict[str, Any]:
    """Result of one model; raises if it breaks a law."""
    model, given = built(config)
    family, sites = families.find_sites(Loop(model, ""))
    pipe = Loop(model, family)
    if not sites.scheduler_counts_calls and not sites.scaled_time:
        pipe.time = sites.time
    pipe.rows = len(given[sites.inputs[0]])
    plain = pipe.draw(given)
    count = len(numbered(sites.stack))
    accel.apply(pipe, strategy(pipe, depth(["full"] * CALLS)))
    require("neutral", all(map(torch.equal, pipe.draw(given), plain)))
    ran = run(pipe, strategy(pipe, depth(["full", 0, "full", 0])), given, plain)
    require(f"no block runs ({ran})", ran == [count, 0, count, 0])
    one = strategy(pipe, depth(["full", 1, "skip", count - 1], order=[0, 0, 1, 2]))
    ran = run(pipe, one, given, plain)
    require(f"the front runs ({ran})", ran == [count, 1, 0, count - 1])
    tail = int(count > 2)
    one = strategy(pipe, depth(["full", 1, 1, 0], tail=[0, tail, tail, 0]))
    ran = run(pipe, one, given, plain)
    require(f"the tail runs ({ran})", ran == [count, 1 + tail, 1 + tail, 0])
    parts = fora(pipe, given, plain, sites.parts)
    selects = sites.stream is not None and tokens(pipe, given, plain)
    accel.remove(pipe)
    require("remove", all(map(torch.equal, pipe.draw(given), plain)))
    without = blockless(model, numbered(sites.stack), given)
    require("blocks matter", float((without - plain[0]).norm() / plain[0].norm()) > 100 * NEAR)
    lists = list(dict.fromkeys(name for one in sites.stack for name in one.modules))
    return {"family": family, "lists": lists, "fora": parts, "tokens": selects}


def fora(
    pipe: Loop, given: dict[str, Any], plain: list[torch.Tensor], parts: Sequence[Sublayer]
) -> int:
    """Number of attentions and feed-forwards that `fora` leaves out, checked to be all of them, and
    that the prediction of the same input stays what it is. 0 for a model without any.
    """
    if not parts:
        return 0
    computed = [True, False, True, False]
    there = {kind for part in parts for kind in part.kinds}  # `fora` refuses to reuse others.
    knobs: dict[str, Any] = {kind: computed for kind in ("attn", "cross", "mlp") if kind in there}
    knobs["order"] = [0, 0, 0, 1]
    accel.apply(pipe, strategy(pipe, {"fora": knobs}))
    for _ in range(2):
        for mine, full in zip(pipe.draw(given), plain, strict=True):
            far = float((mine - full).norm() / full.norm())
            require(f"fora ({far:.1e})", far < NEAR)
    wanted = sorted(part.name for part in parts)
    reused = [sorted(record.reused) for record in accel.stats(pipe)]
    require(f"fora ({reused[1]})", reused == [[], wanted, [], wanted])
    return len(parts)


def tokens(pipe: Loop, given: dict[str, Any], plain: list[torch.Tensor]) -> bool:
    """Whether some of the image's tokens can run alone, checked to keep the prediction of the same
    input.
    """
    shares = [1.0, 1.0, 0.5, 0.3]
    cases: dict[str, Any] = {
        "cat": {"alpha": shares, "clusters": 2},
        "atedm": {"alpha": shares},
        "toca": {"ratio": [1.0, 0.5, 0.3, 0.0]},
    }
    for method, knobs in cases.items():
        accel.apply(pipe, strategy(pipe, {method: knobs}))
        for _ in range(2):
            for mine, full in zip(pipe.draw(given), plain, strict=True):
                far = float((mine - full).norm() / full.norm())
                require(f"{method} ({far:.1e})", far < NEAR)
        some = [{k < n for n, k in record.tokens.values()} for record in accel.stats(pipe)]
        require(f"{method} leaves tokens out ({some})", some[0] == set() and some[-1] == {True})
    return True


def run(pipe: Loop, one: Strategy, given: dict[str, Any], plain: list[torch.Tensor]) -> list[int]:
    """Numbers of blocks that ran at each call, checked to be repeatable and near the full
    prediction.
    """
    accel.apply(pipe, one)
    for _ in range(2):
        found = pipe.draw(given)
        for mine, full in zip(found, plain, strict=True):
            far = float((mine - full).norm() / full.norm())
            require(f"reuse ({far:.1e})", far < NEAR)
    return [len(record.ran) for record in accel.stats(pipe)]


@torch.no_grad()
def blockless(model: Any, blocks: Sequence[StackBlock], given: dict[str, Any]) -> torch.Tensor:
    """Output of the model without its blocks, which must differ, or their reuse would prove
    nothing.
    """
    for block in blocks:
        block.module.forward = through(block.face)
    try:
        return flat(model(**given))
    finally:
        for block in blocks:
            del block.module.forward


def through(face: Face) -> Callable[..., Any]:
    """A block's forward that hands its streams on."""
    return lambda *args, **kwargs: face.give(face.take(args, kwargs))


def require(what: str, holds: bool) -> None:
    if not holds:
        raise StrategyError(f"does not hold: {what}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--diffusers", type=Path, required=True, metavar="FOLDER")
    parser.add_argument(
        "--models", nargs="+", default=[], help="only these classes; the results of others stay"
    )
    flags = parser.parse_args()
    quiet()
    torch.set_num_threads(1)
    found: dict[str, Any] = {}
    for config in configs(flags.diffusers):
        name = config.model_class.__name__
        if flags.models and name not in flags.models:
            continue
        try:
            found[name] = check(config)
        except StrategyError as error:
            found[name] = {"fails": str(error).partition("denoiser: ")[2].partition(";")[0]}
            found[name]["fails"] = found[name]["fails"] or str(error)
        except Exception as error:  # Whatever a model does: it is said.
            found[name] = {"fails": f"{type(error).__name__}: {str(error)[:200]}"}
        print(name, json.dumps(found[name]), flush=True)
    good = sum("fails" not in one for one in found.values())
    print(f"{good} of {len(found)} hold")
    target = RESULTS / "stacks.json"
    before = json.loads(target.read_text("utf-8"))["models"] if flags.models else {}
    result = {"calls": CALLS, "versions": versions(), "models": before | found}
    target.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
