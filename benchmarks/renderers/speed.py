"""Tables of time and work."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from benchmarks.renderers.markdown import ratio, table


def race(data: Any) -> str:
    return f"{data['network']}; {_setting(data)}\n\n{_batches(data)}"


# Settings whose names in the results are not those of the glossary.
NAMES = {"turns": "rounds", "draws": "generations a round", "patience": "time limit in s"}


def _setting(data: Any) -> str:
    hidden = ("device", "networks", "batches", "only", "compile")
    size = [
        f"{NAMES.get(key, key)} {value}"
        for key, value in data["settings"].items()
        if key not in hidden
    ]
    kind = "compiled" if data["settings"]["compile"] else "eager"
    versions = f"torch {data['torch']}, diffusers {data['diffusers']}"
    return f"{', '.join(size)}; {kind}; {versions}."


def _batches(data: Any) -> str:
    parts = []
    for name, found in data.items():
        if name.startswith("batch_"):
            parts += [_variants(f"generation, batch {name[6:]}", found), _calls(found)]
    if data.get("synchronisations"):
        rows = list(data["synchronisations"].items())
        parts.append(table(["generation", "synchronisations with the GPU"], rows))
    return "\n\n".join(filter(None, parts))


def _over_package(row: dict[str, Any]) -> str | None:
    return ratio(row["over_package"]) if "over_package" in row else None


# Column -> what a row of a race has in it; a column without anything is left out.
COLUMNS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "speed over unmodified": ratio,
    "over the package's": _over_package,
    "images per second": lambda row: row["images_per_second"],
    "reduction of MACs": lambda row: row["macs_reduction"],
    "share realised": lambda row: row.get("realised"),
    "peak, GiB": lambda row: row["peak_bytes"] / 2**30 if "peak_bytes" in row else None,
    "graphs": lambda row: row.get("graphs"),
    "breaks": lambda row: row.get("breaks"),
}


def _variants(title: str, found: Any) -> str:
    ran = {name: row for name, row in found.items() if "does not run" not in row}
    read = {head: [one(row) for row in ran.values()] for head, one in COLUMNS.items()}
    columns = {head: cells for head, cells in read.items() if set(cells) != {None}}
    rows: list[Sequence[Any]] = list(zip(ran, *columns.values(), strict=True))
    rest = [None] * (len(columns) - 1)
    for name, row in found.items():
        if name not in ran:
            rows.append((name, "does not run: " + row["does not run"].split(". ")[0], *rest))
    return table([title, *columns], rows)


def _calls(found: Any) -> str:
    rows = [
        (
            f"{name}, {kind}", ratio(one), _over_package(one), one["macs_share"],
            one["time_over_macs_share"],
        )
        for name, row in found.items()
        for kind, one in row.get("calls", {}).items()
    ]  # fmt: skip
    heads = [
        "call", "speed over unmodified", "over the package's", "share of MACs",
        "time over that share",
    ]  # fmt: skip
    return table(heads, rows) if rows else ""


def selection(data: Any) -> str:
    parts = []
    for kind in ("smooth", "white"):
        rows: list[tuple[Any, ...]] = [
            (name, 1000 * one["seconds"], one["inertia"])
            for name, one in data[kind].items()
            if name != "choice"
        ]
        parts += [table([f"k-means, {kind} maps", "ms", "inertia"], rows), ""]
        rows = [(name, 1000 * seconds) for name, seconds in data[kind]["choice"].items()]
        parts += [table([f"choice, {kind} maps", "ms"], rows), ""]
    return "\n".join(parts)


def latency_table(data: Any) -> str:
    return table(
        ["strategies", "rank correlation", "mean error", "half the interquartile range of repeats"],
        [
            (
                data["strategies"],
                data["rank_correlation"],
                f"{data['mean_error']:.1%}",
                f"{data['half_iqr_of_repeats']:.1%}",
            )
        ],
    )


def checks(data: Any) -> str:
    return table(
        ["network", "generation", "its checks", "share"],
        [
            (
                name,
                f"{row['generation_s']:.2f} s",
                f"{row['checks_s'] * 1000:.2f} ms",
                f"{row['share']:.2%}",
            )
            for name, row in data.items()
            if isinstance(row, dict)
        ],
    )


def launches(data: Any) -> str:
    parts = []
    for network, found in data["networks"].items():
        rows = [
            (
                name,
                one.get("operators") or f"does not run: {one['does not run'].split('. ')[0]}",
                one.get("reduction"),
                ", ".join(f"{kind} {count:,}" for kind, count in one.get("calls", {}).items()),
            )
            for name, one in found.items()
        ]
        heads = [f"{network}, {data['calls']} calls", "operators", "reduction", "of a call"]
        parts.append(table(heads, rows))
    return "\n\n".join(parts)


def stacks(data: Any) -> str:
    rows = [
        (
            name,
            "no" if "fails" in one else f"yes, family `{one['family']}`",
            one["fails"] if "fails" in one else ", ".join(f"`{each}`" for each in one["lists"]),
        )
        for name, one in sorted(data["models"].items())
    ]
    return table(["model", "supported", "lists of blocks in the order they run, or why not"], rows)


def macs(data: Any) -> str:
    rows = [
        (
            one["network"], one["steps"], one["method"], one["tmacs"],
            one.get("tmacs_without_attention_products"), one.get("paper_tmacs"),
            one.get("share"), one.get("paper_share"),
        )
        for one in data["rows"]
    ]  # fmt: skip
    heads = [
        "network", "steps", "method", "TMACs", "without attention's products", "the paper's",
        "share of whole", "the paper's share",
    ]  # fmt: skip
    return table(heads, rows)


def guidance_calls(data: Any) -> str:
    head = ["network", "off of a full call", "quartiles", "work", "full call, s", "calls of each"]
    rows = [
        (
            name,
            row["off_of_full"],
            "{} to {}".format(*row["quartiles"]),
            row["work"],
            row["seconds_full"],
            row["calls"],
        )
        for name, row in data["rows"].items()
    ]
    size = f"Width {data['width']:g}, latent {data['latent'] or 'full'}."
    return f"{size}\n\n{table(head, rows)}"


def kept(data: Any) -> str:
    """GiB that each method keeps, and how many times fewer than `fora`."""
    rows = []
    for network, methods in data["networks"].items():
        most = methods.get("fora N=3", {}).get("bytes")
        for name, one in methods.items():
            if "does not run" in one:
                rows.append((network, name, one["does not run"], None, None, None))
                continue
            fewer = most / one["bytes"] if most and one["bytes"] else None
            peak = one.get("peak")
            rows.append((network, name, one["bytes"] / 2**30, one["tensors"], fewer, peak))
    heads = ["network", "method", "GiB kept, fp16", "tensors", "times fewer than fora N=3"]
    heads.append("peak, times the unmodified network's")
    return table(heads, rows)
