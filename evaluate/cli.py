"""The command line: `python -m evaluate`."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from statistics import median
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from accel.models import available, default_device, quiet, read_model
from evaluate.distances import ScoreError
from evaluate.evaluator import Evaluator
from evaluate.latency import measure_end_to_end
from evaluate.sample import NotFiniteError
from evaluate.scores import intervals, score
from strategies import Strategy, StrategyError, load

COLUMNS = {
    "speedup": ("speedup", "{:.2f}x"),
    "latency_s": ("latency, ms", "{:.1f}"),
    "fd_base": ("FD to unaccelerated", "{:.2f}"),
    "fd_real": ("FD to real", "{:.2f}"),
    "psnr": ("PSNR, dB", "{:.1f}"),
    "right_shape": ("shape right", "{:.3f}"),
    "right_colour": ("colour right", "{:.3f}"),
    "right_position": ("position right", "{:.3f}"),
}


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m evaluate",
        description="Score strategies beside the unaccelerated model on held-out prompts.",
    )
    parser.add_argument(
        "--model", default="tiny-sd", help=f"{', '.join(available())} or a .yaml file"
    )
    parser.add_argument(
        "--strategy", action="append", default=[], help="a strategy file; may be given again"
    )
    parser.add_argument("--images", type=int, default=64, help="held-out prompts (default: 64)")
    parser.add_argument("--repeats", type=int, default=7, help="timings of each (default: 7)")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    flags = parser.parse_args(arguments)
    try:
        if flags.json is not None:
            _check_writable(flags.json)
        rows = run(flags.model, flags.strategy, flags.images, flags.repeats)
    except (StrategyError, ScoreError, NotFiniteError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    _show(rows)
    if flags.json is not None:
        flags.json.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")
    return 0


def _check_writable(path: Path) -> None:
    try:
        path.touch()
    except OSError as error:
        raise StrategyError(f"{path}: cannot be written ({error.strerror})") from None


def run(model: str, files: list[str], images: int, repeats: int) -> list[dict[str, Any]]:
    """Score the unaccelerated model and the strategies of `files`, one row each.

    Raises:
        StrategyError: anything that cannot be read or does not fit; nothing is scored then.
    """
    chosen = [(name, load(name)) for name in files]
    if images < 2 or repeats < 1:
        raise StrategyError(f"{images} images and {repeats} repeats asked for; need 2 and 1")
    quiet()
    torch.set_num_threads(1)
    evaluator = Evaluator(read_model(model), default_device())
    everyone: list[tuple[str, Strategy]] = [("unaccelerated", evaluator.baseline), *chosen]
    samples = [evaluator.sample(strategy, "heldout", images) for _, strategy in everyone]
    times = measure_end_to_end(
        evaluator.pipe,
        evaluator.config,
        evaluator.prompts["heldout"],
        [strategy for _, strategy in everyone],
        repeats,
    )
    rows = []
    for (name, strategy), sample, seconds in zip(everyone, samples, times, strict=True):
        latency = median(seconds)
        rows.append(
            {
                "name": name,
                "digest": strategy.digest,
                "images": images,
                "speedup": median(times[0]) / latency,
                "latency_s": latency,
                **score(sample, samples[0], evaluator.real),
                "intervals": intervals(sample, samples[0], evaluator.real),
            }
        )
    return rows


def _show(rows: list[dict[str, Any]]) -> None:
    """One column per strategy, so that a table of a few fits a narrow terminal."""
    table = Table(title=f"{rows[0]['images']} held-out prompts; latency of one image, one thread")
    table.add_column("")
    for row in rows:
        table.add_column(Path(row["name"]).stem, justify="right", overflow="fold")
    for key, (title, form) in COLUMNS.items():
        factor = 1000 if key == "latency_s" else 1
        table.add_row(title, *(form.format(row[key] * factor) for row in rows))
    changes = [row["intervals"]["fd_real_change"] for row in rows]
    table.add_row("change of FD to real", *(f"{value:+.2f}" for value, _, _ in changes))
    table.add_row("95 % interval", *(f"{low:+.2f} to {high:+.2f}" for _, low, high in changes))
    noise = ["within noise" if low <= 0 <= high else "" for _, low, high in changes]
    table.add_row("", *noise)
    Console().print(table)
