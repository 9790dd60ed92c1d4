"""The papers' tables beside ours, and a front beside its rivals."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmarks.renderers.markdown import table


def tables(data: Any) -> str:
    """Rows with a figure of ours first; of the others, why there is none."""
    known = [one for one in data["rows"] if one["ours"] is not None]
    heads = ["table", "row", "figure", "published", "ours", "ours / published", "ours is", "why"]
    keys = ("table", "row", "figure", "published", "ours", "ratio", "source", "why")
    parts = [table(heads, [[one[key] for key in keys] for one in known])]
    rest = [one for one in data["rows"] if one["ours"] is None]
    if rest:
        keys = ("table", "row", "figure", "published", "why")
        rows = [[one[key] for key in keys] for one in rest]
        parts += ["Without a figure of ours:\n"]
        parts += [table(["table", "row", "figure", "published", "why"], rows)]
    return "\n\n".join(parts)


def equal_latency(data: Any) -> str:
    """Shares of the rivals that the front dominates, then every strategy."""
    setting, run = data["setting"], data["setting"]["run"]
    told = f"{setting['images']} held-out prompts; latency {setting['latency']}."
    if run:
        told += f" The search: budget {run['budget']}, {run['evaluations']} evaluations."
    rows = []
    for group, one in data["shares"].items():
        share, sure = one["share"], one["share_beyond_noise"]["fd_base"]
        rows.append((group, one["rivals"], *(_percent(share, k) for k in KEYS), f"{sure:.0%}"))
    heads = ["rivals", "number", *KEYS.values(), "FD beyond noise"]
    order = sorted(data["rows"].items(), key=lambda item: item[1]["seconds"])
    everyone = [
        (
            name, one["group"], one["seconds"] * 1e3, one["speedup"], one["fd_base"],
            one["kd_base"], one["feature_error"], one["psnr"], one["fd_real"],
        )
        for name, one in order
    ]  # fmt: skip
    columns = ["strategy", "", "latency, ms", "speedup", "FD to unaccelerated", "KD", "error"]
    columns += ["PSNR, dB", "FD to real"]
    return f"{told}\n\n{table(heads, rows)}\n\n{table(columns, everyone)}"


KEYS = {
    "fd_base": "dominated in FD to unaccelerated",
    "kd_base": "in KD",
    "feature_error": "in paired error",
    "psnr": "in PSNR",
    "fd_real": "in FD to real",
}


def _percent(share: Mapping[str, float], key: str) -> str:
    return f"{share[key]:.0%}"
