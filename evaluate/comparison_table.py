"""Output of a comparison: terminal table, rows of a CSV."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from evaluate.metrics import VIEWS, Metric

SPEED = {
    "speedup": ("speedup", "{:.2f}x", 1.0),
    "latency_s": ("latency, ms", "{:.1f}", 1e3),
    "latency_spread": ("  half its interquartile range, %", "{:.1f}", 1e2),
    "latency_check": ("  sum of its calls minus it, %", "{:+.1f}", 1e2),
    "throughput": ("throughput, images/s", "{:.2f}", 1.0),
    "macs": ("GMACs of the denoiser", "{:.2f}", 1e-9),
    "memory_bytes": ("peak memory, MB", "{:.1f}", 1e-6),
}
# Changes compared with an equal-cost baseline, and how their columns end. The second is the former
# name, which is written too until the next release.
CHANGES = {"baseline_changes": "baseline_change", "beside_rival": "beside_rival"}


def show_comparison(found: dict[str, Any], metrics: list[Metric], calls: bool) -> None:
    """Print a comparison with one column per strategy, so that a few fit into a narrow terminal.

    Args:
        found: result of `compare`.
        metrics: metrics of quality.
        calls: whether to print a table of each strategy's kinds of calls.
    """
    console, rows, setting = Console(), found["rows"], found["setting"]
    table = Table(title=_title(found))
    table.add_column("")
    for row in rows:
        table.add_column(strategy_title(row["name"]), justify="right", overflow="fold")
    for key, (title, form, factor) in SPEED.items():
        if key in rows[0]:
            table.add_row(title, *(form.format(row[key] * factor) for row in rows))
    for metric in metrics:
        for view in metric.views:
            if metric.key(view) in rows[0]:
                _add(table, rows, metric, metric.key(view), VIEWS[view])
    verdicts = [row.get("verdict") for row in rows]
    if any(verdicts):
        answers = [one["answer"] if one else "" for one in verdicts]
        table.add_row("no loss beyond the margins", *answers, style="bold")
    console.print(table)
    for note in [*reasons(found), *table_notes(found, metrics)]:
        console.print(note, style="dim", highlight=False)
    if calls and "kinds" in rows[0]:
        for row in rows:
            console.print(_calls(row))
    console.print(
        f"{setting['device']}, {setting['dtype']}, {setting['resolution'][1]} x "
        f"{setting['resolution'][0]}, {setting['attention']}",
        style="dim",
        highlight=False,
    )


def strategy_title(name: str) -> str:
    """Title of a strategy: a preset's name as it is, a file's without its folder and `.json`."""
    return Path(name).name.removesuffix(".json")


def _title(found: dict[str, Any]) -> str:
    setting = found["setting"]
    parts = [setting["model"]]
    if setting["images"]:
        parts.append(f"{setting['images']} prompts")
    if setting["repeats"]:
        parts.append("latency of one image")
    if setting["throughput_batch"]:
        parts.append(f"throughput at batch {setting['throughput_batch']}")
    return "; ".join(parts)


def _add(table: Table, rows: list[dict[str, Any]], metric: Metric, key: str, against: str) -> None:
    table.add_row(
        " ".join(filter(None, [metric.title, against])),
        *(metric.form.format(row[key]) for row in rows),
        style="bold",
    )
    own = [row["intervals"].get(key) for row in rows]
    if metric.biased:
        cells = [metric.form.format(cell[0]) if cell else "" for cell in own]
        table.add_row("  bias-corrected, about", *cells)
    if any(own):
        table.add_row("  95 % interval", *(interval_ends(cell, metric.form) for cell in own))
    changes = [row["intervals"].get(f"{key}_change") for row in rows]
    if any(changes):
        plus = metric.form.replace("{:", "{:+")
        table.add_row(
            "  95 % interval of the change", *(interval_ends(cell, plus) for cell in changes)
        )
        table.add_row("", *(verdict(cell, metric.better) for cell in changes))


def interval_ends(cell: list[float] | None, form: str) -> str:
    """Ends of an interval as text; empty without one."""
    return f"{form.format(cell[1])} to {form.format(cell[2])}" if cell else ""


def verdict(cell: list[float] | None, better: str) -> str:
    """Meaning of a difference's interval in words; empty without one."""
    if cell is None:
        return ""
    if cell[1] == cell[2] and cell[0]:
        return "interval without width"
    if cell[1] <= 0 <= cell[2]:
        return "within noise"
    return "better" if (cell[0] < 0) == (better == "lower") else "worse"


def reasons(found: dict[str, Any]) -> list[str]:
    """Reasons why a loss is not ruled out, one line for each strategy."""
    said = []
    for row in found["rows"]:
        told = row.get("verdict", {"answer": "yes"})
        if told["answer"] != "yes":
            title = strategy_title(row["name"])
            said.append(f"{title}, no loss {told['answer']}: {'; '.join(told['why'])}")
    return said


def table_notes(found: dict[str, Any], metrics: list[Metric]) -> list[str]:
    """Notes that are needed to read the scores."""
    said = [f"{VIEWS[view]}: {name}" for view, name in found["references"].items()]
    biased = [metric.title for metric in metrics if metric.biased]
    count = found["setting"]["images"]
    if count and biased:
        said.append(
            f"{', '.join(biased)}: values depend on the number of images (here {count}); compare "
            "only values of equally many images"
        )
    return said


def _calls(row: dict[str, Any]) -> Table:
    table = Table(title=f"calls of {strategy_title(row['name'])}, one image")
    for title in ("kind", "calls", "ms each", "spread, %", "GMACs each", "ms together"):
        table.add_column(title, justify="left" if title == "kind" else "right", overflow="fold")
    for kind in row["kinds"]:
        each = kind["seconds"] * 1e3
        table.add_row(
            kind["name"], str(kind["calls"]), f"{each:.2f}", f"{kind['spread'] * 100:.1f}",
            f"{kind['macs'] / 1e9:.3f}", f"{each * kind['calls']:.1f}",
        )  # fmt: skip
    table.add_row("outside the denoiser", "", "", "", "", f"{row['outside_s'] * 1e3:.1f}")
    table.add_row("sum", "", "", "", "", f"{row['latency_sum_s'] * 1e3:.1f}", style="bold")
    table.add_row("measured end to end", "", "", "", "", f"{row['latency_s'] * 1e3:.1f}")
    return table


def flat_rows(found: dict[str, Any]) -> list[dict[str, Any]]:
    """One row for each strategy; intervals are `<metric>_low` and `_high`."""
    rows = []
    for row in found["rows"]:
        left_out = ("intervals", *CHANGES, "kinds", "verdict")
        flat = {key: value for key, value in row.items() if key not in left_out}
        if "verdict" in row:
            told = row["verdict"]
            flat |= {"no_loss": told["answer"], "why": "; ".join(told["why"])}
        for key, (_, low, high) in row.get("intervals", {}).items():
            flat |= {f"{key}_low": low, f"{key}_high": high}
        for field, ending in CHANGES.items():
            for key, (value, low, high) in row.get(field, {}).items():
                name = f"{key}_{ending}"
                flat |= {name: value, f"{name}_low": low, f"{name}_high": high}
        rows.append(flat)
    return rows


def with_former_names(found: dict[str, Any]) -> dict[str, Any]:
    """A comparison with an equal-cost baseline under its former names as well, for one release."""
    rows = [
        row | {"rival": row["baseline"], "beside_rival": row["baseline_changes"]}
        if "baseline" in row
        else row
        for row in found["rows"]
    ]
    return found | {"rows": rows}
