"""Tables of the device time of searches."""

from __future__ import annotations

from typing import Any

from benchmarks.renderers.markdown import table


def table_turns(data: Any) -> str:
    heads = [
        "turns after the one that warms up", "other turns", "median difference of latencies",
        "of their shares of the unaccelerated one", "the same, 90 % quantile",
        "error that the search stops by",
    ]  # fmt: skip
    lines = (
        f"{data['kinds']} kinds of calls. A turn takes {data['seconds_of_calls']} s for the calls "
        f"and {data['seconds_around']} s for the time around them.\n\n"
    )
    return lines + table(heads, [list(one.values()) for one in data["rows"]])


def shared_prefixes(data: Any) -> str:
    heads = [
        "run", "space", "evaluations", "device time, s", "share of proposals",
        "saved if resumed at a computed call", "saved if resumed anywhere",
    ]  # fmt: skip
    rows = [list(one.values()) for one in data["rows"]]
    medians = [
        (f"median, {space}", space, None, None, *one.values())
        for space, one in data["medians"].items()
    ]
    return table(heads, [*rows, *medians])


def search_rules(data: Any) -> str:
    heads = ["rules", "device time, s"]
    for kind in ("hypervolume", "by logarithms"):
        heads += [kind, "p of being larger", "time to the default's, as a share"]
    about = f"{data['strategies']} measured strategies, medians of {data['seeds']} seeds.\n\n"
    return about + table(heads, [list(one.values()) for one in data["rows"]])


def gpu_hours(data: Any) -> str:
    counts = [key.removeprefix("hours_") for key in data["rows"][0] if key.startswith("hours_")]
    heads = [
        "model", "seconds of an unaccelerated image", "from", "rungs",
        *(f"hours of {count} evaluations" for count in counts),
    ]  # fmt: skip
    about = (
        "Computed, not run. Proposals take "
        f"{data['share']:.0%} of the unaccelerated latency, the median of {data['runs']} runs.\n\n"
    )
    return about + table(heads, [list(one.values()) for one in data["rows"]])


def time_to_front(data: Any) -> str:
    kinds = ("search_linear", "search_logarithmic", "heldout_linear", "heldout_logarithmic")
    known = [kind for kind in kinds if kind in data["rows"][0]]
    heads = ["build", "evaluations of the earlier build"]
    heads += [name for kind in known for name in (f"share of its time, {kind}", "p")]
    rows = [
        [one["build"], one["goal"], *(one[k] for kind in known for k in (kind, f"{kind}_p"))]
        for one in data["rows"]
    ]
    about = f"Earlier build {data['before']}, {len(data['seeds'])} seeds, medians.\n\n"
    return about + table(heads, rows)


def recorded_forecasts(data: Any) -> str:
    heads = [
        "run", "budget", "evaluations predicted", "evaluations", "ratio",
        "seconds predicted for the evaluations", "seconds", "ratio",
    ]  # fmt: skip
    rows = [list(one.values()) for one in data["rows"]]
    about = (
        f"Median error of the evaluations {data['evaluations_error']:.0%}, of the seconds "
        f"{data['seconds_error']:.0%}.\n\n"
    )
    return about + table(heads, rows)
