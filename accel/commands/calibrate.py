"""`python -m accel calibrate`: a Block Caching strategy from measured change curves."""

from __future__ import annotations

import argparse
from shlex import quote
from statistics import fmean
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from accel import families
from accel.block_changes import change_curves
from accel.commands.generate import (
    OWN,
    GenerationRequest,
    control_arguments,
    once,
    open_prompted,
    own_steps,
)
from accel.models.loading import quiet
from accel.solvers import schedulers
from strategies import Strategy, save
from strategies.commands.progress_bar import ProgressBar
from strategies.commands.result_output import ResultOutput
from strategies.methods.blockcache import BlockCache


def calibrate(flags: argparse.Namespace, result: ResultOutput) -> int:
    """Measure, plan, print a table and write the strategy; returns the exit code.

    Args:
        flags: parsed flags.
        result: output of the measured changes.

    Raises:
        StrategyError: the model cannot be loaded or drawn with, or the file cannot be written.
    """
    quiet()
    pipe, config = open_prompted(flags)
    steps = flags.steps or own_steps(pipe, config)
    schedulers.check_steps(pipe.scheduler, steps)
    own = {} if config is None else config.model_dump(include=OWN)
    steered = control_arguments(pipe, flags.control_image)
    own["arguments"] = {**own.get("arguments", {}), **steered}
    requests = [
        GenerationRequest(prompt, None, [seed], **own) for seed, prompt in enumerate(flags.prompt)
    ]

    with ProgressBar() as report:

        def run(request: GenerationRequest) -> Any:
            def measured() -> None:
                report("measuring the changes of blocks", request.seeds[0], len(requests))
                once(pipe, request, steps, request.seeds[0])

            return measured

        curves = change_curves(pipe, [run(request) for request in requests])
    knobs = BlockCache.from_curves(curves, flags.delta)
    family, _ = families.find_sites(pipe)
    strategy = Strategy.create(
        name=flags.out.stem,
        family=family,
        scheduler=type(pipe.scheduler).__name__,
        steps=steps,
        calls=len(pipe.scheduler.timesteps),
        methods={} if knobs.is_neutral() else {"blockcache": knobs},
        provenance={"model": flags.model, "delta": flags.delta, "prompts": len(requests)},
    )
    save(strategy, flags.out)
    calls = strategy.calls
    rows = [
        {"block": name, "mean_change": fmean(changes), "computed": _computed(knobs, name, calls)}
        for name, changes in curves.items()
    ]
    found = {"file": str(flags.out), "calls": calls, "blocks": rows, "changes": curves}
    result.write(found | {"strategy": strategy.to_json()}, rows)
    if not result.alone:
        Console().print(_table(rows, calls))
    for line in _closing(rows, calls, flags):
        print(line)
    return 0


def _closing(rows: list[dict[str, Any]], calls: int, flags: argparse.Namespace) -> list[str]:
    """Lines with the share of the blocks that is computed, and the next command."""
    share = sum(row["computed"] for row in rows) / (calls * len(rows))
    return [
        f"{share:.0%} of the passes through blocks are computed, the others reuse results",
        f"written to {flags.out}; compare it: python -m accel generate --model "
        f"{quote(flags.model)} --strategy {quote(str(flags.out))} --compare --prompt PROMPT "
        "--out compared.png",
    ]


def _computed(knobs: BlockCache, name: str, calls: int) -> int:
    """Number of calls at which a block is computed."""
    return len(knobs.refresh[name]) if name in knobs.refresh else calls


def _table(rows: list[dict[str, Any]], calls: int) -> Table:
    table = Table("block", box=box.SIMPLE)
    table.add_column("mean change per call", justify="right")
    table.add_column(f"computed, of {calls}", justify="right")
    for row in rows:
        table.add_row(row["block"], f"{row['mean_change']:.3f}", str(row["computed"]))
    return table
