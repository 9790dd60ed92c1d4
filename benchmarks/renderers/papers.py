"""Tables of papers, of fronts with their baselines, and of calls with their ideal."""

from __future__ import annotations

from typing import Any

from benchmarks.renderers.markdown import table


def tables(data: Any) -> str:
    """Rows with a value of ours first; the others have the reason why there is none."""
    known = [one for one in data["rows"] if one["ours"] is not None]
    heads = ["table", "row", "metric", "published", "ours", "ours / published", "ours is", "why"]
    keys: tuple[str, ...]
    keys = ("table", "row", "figure", "published", "ours", "ratio", "source", "why")
    parts = [table(heads, [[one[key] for key in keys] for one in known])]
    rest = [one for one in data["rows"] if one["ours"] is None]
    if rest:
        keys = ("table", "row", "figure", "published", "why")
        rows = [[one[key] for key in keys] for one in rest]
        parts += ["Rows without a value of ours:\n"]
        parts += [table(["table", "row", "metric", "published", "why"], rows)]
    return "\n\n".join(parts)


def equal_latency(data: Any) -> str:
    """Shares of the baselines that a front dominates, then every strategy."""
    setting, run = data["setting"], data["setting"]["run"]
    told = f"{setting['images']} held-out prompts; latency {setting['latency']}."
    if run:
        told += f" The search: budget {run['budget']}, {run['evaluations']} evaluations."
    rows = []
    for group, one in data["shares"].items():
        share, sure = one["share"], one["share_beyond_noise"]["fd_base"]
        found = one["by_found"]["fd_base"]
        told_of = (*(_percent(share[key]) for key in KEYS), _percent(sure), _percent(found))
        rows.append((group, one["baselines"], one["on_front"], *told_of))
    heads = ["baselines", "number", "on the front", *KEYS.values(), "FD beyond noise"]
    heads.append("FD, of all baselines by strategies with a method")
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


def profile(data: Any) -> str:
    """Every kind of call, then what of each strategy is Stratagem's own."""
    rows, own = [], []
    for name, one in data["strategies"].items():
        for call in one["calls"]:
            seconds, ideal = call["seconds"] * 1e3, call["ideal_seconds"] * 1e3
            kind = call["kind"].partition(" ")[0]
            rows.append((name, kind, call["calls"], seconds, ideal, f"{call['above']:+.1%}"))
        most = ", ".join(f"{key} {value:.1%}" for key, value in one["ours_by_function"].items())
        own.append((name, one["speedup"], f"{one['ours']:.1%}", most))
    settings = data["settings"]
    told = f"{settings['family']}, width {settings['width']}, {settings['calls']} calls."
    heads = ["strategy", "kind of call", "calls", "ms", "ideal, ms", "above, of an unmodified call"]
    heads_own = ["strategy", "speedup", "ours, of all operators", "by function"]
    return f"{told}\n\n{table(heads, rows)}\n\n{table(heads_own, own)}"


KEYS = {
    "fd_base": "dominated in FD to unaccelerated",
    "kd_base": "in KD",
    "feature_error": "in paired error",
    "psnr": "in PSNR",
    "fd_real": "in FD to real",
}


def _percent(share: float | None) -> str:
    return "" if share is None else f"{share:.0%}"
