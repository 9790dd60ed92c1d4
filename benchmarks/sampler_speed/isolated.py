"""A race of compiled variants: each in a process of its own, which keeps its graphs, by turns.

Compiling takes minutes for a variant, and one process forgets a variant's graphs when it compiles
the next one. So every variant has its process with its own copy of the network; all compile at the
same time, as many as there are cores, and then draw in shuffled turns while the others wait.
"""

from __future__ import annotations

import argparse
import importlib
import multiprocessing as mp
import os
import time
import traceback
from collections.abc import Callable, Iterable, Mapping
from multiprocessing.connection import Connection
from typing import Any

import torch
from torch._dynamo.utils import counters

from accel.models.loading import quiet
from benchmarks.networks.topologies import Built
from benchmarks.registry import find
from benchmarks.sampler_speed.alternating import Found, Variant, excusing, measured
from benchmarks.sampler_speed.denoising_loop import Network
from benchmarks.sampler_speed.timing import shuffled

WARM = 2  # Generations: the first compiles, the second finds what depends on the first.
Drawn = list[tuple[list[float], int]]
Build = Callable[[], Built]


def race(
    script: str, build: Build, variants: Iterable[str], batch: int, flags: argparse.Namespace
) -> Found:
    """Race the variants of a benchmark by name; see `alternating.race`.

    Args:
        script: name of the benchmark whose script has them as `VARIANTS`.
        build: makes the network, anew in each process.

    Raises:
        RuntimeError: a variant of ours failed, with its traceback.
    """
    found = Found()
    os.environ.setdefault("TORCHINDUCTOR_COMPILE_THREADS", "2")
    lanes = {name: Lane(script, build, name, batch, flags) for name in variants}
    try:
        _compile(lanes, found, flags.patience)
        for turn, name in shuffled(list(found.graphs), flags.turns):
            if name in found.failed:
                continue
            drawn = lanes[name].ask(flags.draws if turn else 1, flags.patience)
            if isinstance(drawn, str):
                found.failed[name] = drawn
            elif turn:
                found.laps[name] += [laps for laps, _ in drawn]
                found.peaks[name] = max(found.peaks.get(name, 0), *(peak for _, peak in drawn))
    finally:
        for lane in lanes.values():
            lane.dismiss()
        for lane in lanes.values():
            lane.stop()
    for name in found.failed:
        found.laps.pop(name, None)
    return found


def _compile(lanes: Mapping[str, Lane], found: Found, patience: float) -> None:
    """All of them, as many at a time as there are cores."""
    waiting, cores = list(lanes), len(os.sched_getaffinity(0))
    began: dict[str, float] = {}
    while waiting or began:
        while waiting and len(began) < cores:
            name = waiting.pop(0)
            began[name] = time.monotonic()
            lanes[name].start()
        ready = mp.connection.wait([lanes[name].ours for name in began], timeout=1)
        for name, since in list(began.items()):
            if lanes[name].ours in ready:
                told = lanes[name].answer()
                if isinstance(told, str):
                    found.failed[name] = told
                else:
                    found.graphs[name] = told
            elif time.monotonic() > since + patience:
                found.failed[name] = f"TimeoutError: compiling took more than {patience:.0f} s"
                lanes[name].process.kill()
            else:
                continue
            del began[name]


class Lane:
    """One variant's process."""

    def __init__(
        self, script: str, build: Build, name: str, batch: int, flags: argparse.Namespace
    ) -> None:
        context = mp.get_context("spawn")
        self.ours, theirs = context.Pipe()
        given = (theirs, script, build, name, batch, flags.calls, flags.device)
        self.process = context.Process(target=serve, args=given, daemon=False)

    def start(self) -> None:
        """Build, compile and draw once."""
        self.process.start()

    def ask(self, draws: int, patience: float) -> Drawn | str:
        """So many generations, or why there are none."""
        self.ours.send(draws)
        if not self.ours.poll(patience):
            self.process.kill()
            return f"TimeoutError: drawing took more than {patience:.0f} s"
        drawn: Drawn | str = self.answer()
        return drawn

    def answer(self) -> Any:
        """Next answer of the process, or a note that it has ended."""
        try:
            told = self.ours.recv()
        except (EOFError, OSError):
            self.process.join()
            return f"RuntimeError: its process ended with {self.process.exitcode}"
        if isinstance(told, tuple):
            raise RuntimeError(told[0])
        return told

    def dismiss(self) -> None:
        """Nothing more will be asked."""
        self.ours.close()

    def stop(self) -> None:
        """Wait until the process has ended, and its memory is free."""
        if self.process.pid is not None:
            self.process.join(10)
            self.process.kill()
            self.process.join()


def serve(
    ours: Connection, script: str, build: Build, name: str, batch: int, calls: int, device: str
) -> None:
    """A variant's process: say how many graphs there are or why none, then draw when asked."""
    quiet()
    torch.set_num_threads(1)
    try:
        variant: Variant = importlib.import_module(find(script).module).VARIANTS[name]
        failed: dict[str, str] = {}
        with excusing(variant, name, failed):
            _serve(ours, Network(build, calls, device), variant, batch)
        if failed:
            ours.send(failed[name])
    except EOFError:
        return
    except Exception:
        ours.send((traceback.format_exc(),))


def _serve(ours: Connection, net: Network, variant: Variant, batch: int) -> None:
    net.pipe.denoiser.compile()
    # Ours may not give up compiling, as torch does silently.
    with (
        torch._dynamo.config.patch(fail_on_recompile_limit_hit=not variant.package),
        variant.setup(net),
    ):
        for _ in range(WARM):
            net.draw(batch)
        graphs = counters["stats"]["unique_graphs"]
        ours.send({"graphs": graphs, "breaks": sum(counters["graph_break"].values())})
        while True:
            try:
                draws = ours.recv()
            except EOFError:
                return
            ours.send([measured(net, batch) for _ in range(draws)])
