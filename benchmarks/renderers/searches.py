"""Tables of searches."""

from __future__ import annotations

from typing import Any

from benchmarks.renderers.markdown import short, table

MARKS = ("20", "50", "100", "200", "300", "500", "1000", "2000")


def tabular(data: Any) -> str:
    rows = [
        (
            origin, one["strategies"], one["median_absolute_error"], one["rms_error"],
            one["kendall_tau"], one["spearman"],
        )
        for origin, one in data["held_out"].items()
    ]  # fmt: skip
    heads = [
        "strategies that the model has not seen", "number",
        "median absolute error of log FD", "root mean square", "Kendall's tau", "Spearman's rho",
    ]  # fmt: skip
    return (
        f"{data['strategies']} strategies, {data['images']} images each, {data['folds']} folds.\n\n"
        + table(heads, rows)
    )


def efficiency(data: Any) -> str:
    parts = [f"Medians and quartiles of {data['seeds']} seeds.\n"]
    for kind in ("logarithmic", "linear"):
        marks = [mark for mark in MARKS if all(mark in one["at"] for one in data["rows"])]
        rows = [
            (one["name"], *(_volume(one["at"][mark], kind) for mark in marks))
            for one in data["rows"]
        ]
        heads = [f"{kind} hypervolume after", *(f"{mark} evaluations" for mark in marks)]
        parts += [table(heads, rows), ""]
    parts.append(
        "One star: Stratagem's value is larger by the one-sided Mann-Whitney test with p < 0.05. "
        "Two stars: p < 0.01. With five seeds the smallest possible p is 0.004."
    )
    return "\n".join(parts)


def _volume(entry: dict[str, Any], kind: str) -> str:
    low, middle, high = entry[kind]
    p = entry.get(f"{kind}_p", 1.0)
    stars = "\\*\\*" if p < 0.01 else "\\*" if p < 0.05 else ""
    return f"{middle:.3f} ({low:.3f} to {high:.3f}){stars}"


def live(data: Any) -> str:
    setting = ", ".join(f"{k} {v}" for k, v in data.items() if isinstance(v, int))
    rows = [
        (one["name"], _volume(one, "linear"), _volume(one, "logarithmic"), one["kendall_tau"])
        for one in data["rows"]
    ]
    heads = ["search", "hypervolume", "logarithmic hypervolume", "Kendall's tau with the search's"]
    return f"{setting}.\n\n" + table(heads, rows)


def hypervolume(data: Any) -> str:
    rows = [
        (
            one["run"], one["evaluations"], one["beyond_seeds"], one["ours"], one["baselines"],
            one["no_loss_ours_speedup"],
        )
        for one in data
    ]  # fmt: skip
    heads = [
        "run", "evaluations", "beyond the initial strategies", "hypervolume", "of the baselines",
        "fastest without loss, x",
    ]  # fmt: skip
    return table(heads, rows)


def reproduce(data: Any) -> str:
    rows = [
        (
            one["file"], one["fd_base_file"], one["fd_base_now"], one["speedup_file"],
            one["speedup_now"],
        )
        for one in data
    ]  # fmt: skip
    heads = ["file", "FD in the file", "FD now", "speedup in the file", "speedup now"]
    return table(heads, rows)


def wide_space(data: Any) -> str:
    """Every search of the wide and of the narrow space, and the comparison of both."""
    return _two_ways(data, "wide", "narrow")


def guidance_first(data: Any) -> str:
    """Every joint search and every search in stages, and the comparison of both."""
    return _two_ways(data, "joint", "guidance first")


def _two_ways(data: Any, first: str, second: str) -> str:
    rows = []
    for label, found in data["runs"].items():
        for seed, one in found.items():
            methods = ", ".join(f"{n} {k}" for n, k in sorted(one["methods"].items()))
            rows.append(
                [f"{label}, seed {seed}", one["evaluations"], one["beyond_seeds"],
                 one["hypervolume"], one["hypervolume_together"], methods]
            )  # fmt: skip
    heads = ["search", "evaluations", "beyond the initial strategies", "hypervolume"]
    heads += ["with the baselines", "methods on the front, with their number of strategies"]
    lines = [
        f"{name}: {first} {short(one['wide'])}, {second} {short(one['narrow'])}; p of the {first} "
        f"one being lower {short(one['p_wide_is_lower'])}, higher {short(one['p_wide_is_higher'])}"
        for name, one in data["compared"].items()
    ]
    return "\n\n".join([table(heads, rows), *lines])
