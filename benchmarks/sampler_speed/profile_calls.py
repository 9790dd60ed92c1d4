"""Time of accelerated calls compared with the ideal: unmodified time by share of work.

    python -m benchmarks run profile_calls unet  # a GPU: full size, fp16
    python -m benchmarks run profile_calls unet --width 0.1 --latent 32  # a CPU
    python -m benchmarks run profile_calls mmdit --width 0.25 --layers 6 --latent 48  # a CPU

One guided generation of each strategy, random weights, in turns with the unmodified network; times
of calls are medians, of the process's own time on a CPU. `calls` has for every kind of call its
time, its share of the unmodified call's multiply-accumulates, the ideal (the unmodified time by
that share) and what is left above it, as a share of the unmodified call.

Then one generation of each is drawn under torch.profiler. Every operator belongs to the nearest
code above it that is Stratagem's, diffusers' or a torch module's; `ours` adds up those of
Stratagem's that multiply nothing (gathers, sorts, copies), as shares of the time of all operators,
by function and by operator. `python` is the time of Stratagem's own Python lines, which tracing
makes several times longer than it is. On a GPU operators' times are those of launching them; `top`
are the operators with the most time of their own, on a GPU that of the device. Writes
`benchmarks/results/profile-FAMILY-DEVICE.json`.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from statistics import median
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

import accel
from accel.models.loading import default_device, quiet
from benchmarks.entry import RESULTS
from benchmarks.networks.topologies import sized
from benchmarks.sampler_speed.denoising_loop import Network
from benchmarks.sampler_speed.timing import shuffled
from evaluate.speed.timing import device_name, versions
from strategies import Strategy
from strategies.methods.deepcache import DeepCache
from strategies.methods.fora import FORA
from strategies.methods.toca import ToCa

FAMILIES = {"unet": "sd15", "dit": "pixart-sigma", "mmdit": "sd3-medium"}
OWNERS = ("accel/", "diffusers/")
MODULES = "torch/nn/modules/"  # A module's own forward is the network's, whoever wraps it.
WORK = ("conv", "mm", "bmm", "addmm", "linear", "matmul", "attention", "mkldnn", "einsum")


def plans(family: str, calls: int) -> dict[str, dict[str, Any]]:
    """The strategies of a family, by name."""
    start = max(2, calls // 3)
    if family == "unet":
        return {
            "deepcache N=3": {"deepcache": DeepCache.uniform(calls, 3)},
            "tome 0.5": {"tome": {"ratio": 0.5}},
            "dato 0.5": {"dato": {"ratio": 0.5}},
            "catome": {"catome": {"threshold": 0.7, "checkpoints": [0, start]}},
            "tgate": {"tgate": {"gate": start}},
        }
    return {
        "fora N=3": {"fora": FORA.published(calls, 3)},
        "cat 0.3": {"cat": {"alpha": 0.3, "start": start}},
        "atedm 0.3": {"atedm": {"alpha": 0.3, "start": start}},
        "toca": {"toca": ToCa.published(calls, 3, 0.07)},
    }


def build(family: str, flags: argparse.Namespace) -> Network:
    """The network of a family at the size that was asked for."""
    make = partial(sized, FAMILIES[family], flags.width, flags.latent, flags.layers)
    return Network(make, flags.calls, flags.device)


def timed(
    loop: Network, chosen: Mapping[str, Strategy], turns: int
) -> dict[str, list[list[float]]]:
    """Seconds of every call in each turn after the first; `""` is the unmodified network."""
    found: dict[str, list[list[float]]] = defaultdict(list)
    for turn, name in shuffled(["", *chosen], turns):
        if name:
            with accel.accelerated(loop.pipe, chosen[name]):
                seconds = loop.draw()
        else:
            seconds = loop.draw()
        if turn:
            found[name].append(seconds)
    return found


def counted(loop: Network, plan: Strategy) -> list[int]:
    """Multiply-accumulates of every call."""
    with accel.accelerated(loop.pipe, plan):
        return loop.work()


def by_kind(
    loop: Network, plan: Strategy, mine: list[list[float]], whole: list[list[float]]
) -> list[dict[str, Any]]:
    """Every kind of call beside its ideal."""
    macs, most = counted(loop, plan), max(counted(loop, loop.plan({})))
    full = median(second for turn in whole for second in turn[1:])
    kinds, rows = plan.kinds(), []
    for kind in dict.fromkeys(kinds):
        places = [i for i, name in enumerate(kinds) if name == kind and i]
        if not places:  # The first call alone.
            continue
        seconds = median(turn[i] for turn in mine for i in places)
        share = sum(macs[i] for i in places) / len(places) / most
        rows.append(
            {
                "kind": kind or "full", "calls": len(places), "seconds": seconds,
                "macs_share": share, "ideal_seconds": full * share,
                "above": seconds / full - share,
            }
        )  # fmt: skip
    return rows


def nodes(roots: Sequence[Any]) -> Iterator[tuple[Any, str, int]]:
    """Every event, the code that it belongs to, and nanoseconds of its own."""
    waiting = [(root, "") for root in roots]
    while waiting:
        event, owner = waiting.pop()
        name, children = event.name, event.children
        if name.startswith(OWNERS) or (name.startswith(MODULES) and name.endswith(": forward")):
            owner = name
        yield event, owner, event.duration_time_ns - sum(one.duration_time_ns for one in children)
        waiting += [(child, owner) for child in children]


def traced(loop: Network, plan: Strategy) -> dict[str, Any]:
    """One generation under the profiler: whose operators take how much."""
    activities = [ProfilerActivity.CPU]
    on_gpu = loop.pipe.device.type == "cuda"
    if on_gpu:
        activities.append(ProfilerActivity.CUDA)
    with accel.accelerated(loop.pipe, plan):
        loop.draw()
        with profile(activities=activities, with_stack=True) as prof:
            loop.draw()
    total, python, tracked = 0, 0, 0
    functions: Counter[str] = Counter()
    operators: Counter[str] = Counter()
    everything: Counter[str] = Counter()
    for event, owner, own in nodes(prof.profiler.kineto_results.experimental_event_tree()):
        kind = event.tag.name
        if kind == "TorchOp":
            total += own
            everything[event.name] += own
            plain = not any(part in event.name for part in WORK)
            if owner.startswith("accel/") and plain:
                tracked += own
                functions[_function(owner)] += own
                operators[event.name] += own
        elif kind == "PyCall" and event.name.startswith("accel/"):
            python += own
    top = _shares(everything, total)
    if on_gpu:
        device = Counter({one.key: one.self_device_time_total for one in prof.key_averages()})
        top = _shares(device, sum(device.values()))
    return {
        "operators_s": total / 1e9,
        "ours": tracked / total,
        "ours_by_function": _shares(functions, total),
        "ours_by_operator": _shares(operators, total),
        "python_s": python / 1e9,
        "top": top,
    }


def _function(owner: str) -> str:
    """`accel/tokens/merging.py: rows` of `accel/tokens/merging.py(139): rows`."""
    file, _, rest = owner.partition("(")
    return f"{file}:{rest.partition(':')[2]}"


def _shares(found: Counter[str], total: int) -> dict[str, float]:
    return {name: value / total for name, value in found.most_common(8)}


def profiled(
    loop: Network, family: str, turns: int, only: list[str] | None = None
) -> dict[str, Any]:
    """Everything of a family, by strategy."""
    neutral: dict[str, dict[str, Any]] = {"neutral": {}}
    chosen = {
        name: loop.plan(methods)
        for name, methods in (neutral | plans(family, loop.calls)).items()
        if only is None or name in only or name == "neutral"
    }
    times = timed(loop, chosen, turns)
    found = {}
    for name, plan in chosen.items():
        rows = by_kind(loop, plan, times[name], times[""])
        ratio = median(sum(b) / sum(a) for a, b in zip(times[name], times[""], strict=True))
        found[name] = {"speedup": ratio, "calls": rows, **traced(loop, plan)}
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("family", choices=FAMILIES)
    parser.add_argument("--width", type=float, default=1.0)
    parser.add_argument("--layers", type=int, default=0, help="of transformers; 0 is all")
    parser.add_argument("--latent", type=int, default=0, help="0 is the model's own")
    parser.add_argument("--calls", type=int, default=9)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--only", nargs="+", metavar="STRATEGY")
    parser.add_argument("--device", default=default_device())
    flags = parser.parse_args()
    torch.set_num_threads(1)
    quiet()
    loop = build(flags.family, flags)
    found = profiled(loop, flags.family, flags.turns, flags.only)
    document = {
        "device": device_name(loop.pipe),
        "settings": vars(flags).copy(),
        "versions": versions(),
        "strategies": found,
    }
    kind = "gpu" if flags.device.startswith("cuda") else "cpu"
    target = RESULTS / f"profile-{flags.family}-{kind}.json"
    target.write_text(json.dumps(document, indent=2) + "\n")
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
