"""Benchmarks of the device time of searches."""

from __future__ import annotations

from benchmarks.entry import COST, Benchmark

COSTS = (
    Benchmark(
        "table_turns",
        "search_cost/table_turns",
        "turns of the latency table that are worth their time",
        COST,
        ("table_turns-*",),
        ("tiny-sd",),
    ),
    Benchmark(
        "shared_prefixes",
        "search_cost/shared_prefixes",
        "device time that starting from the latents of an earlier strategy would save",
        COST,
        ("shared_prefixes",),
        ("runs/seed-0",),
        "finished runs",
    ),
    Benchmark(
        "search_rules",
        "search_cost/search_rules",
        "rungs, promotion, screening and the random start of a small search, one changed at a time",
        COST,
        ("search_rules-*",),
        ("tiny-sd",),
    ),
    Benchmark(
        "gpu_hours",
        "search_cost/gpu_hours",
        "GPU hours of searches of published models, computed from measured rates",
        COST,
        ("gpu_hours",),
        ("runs/seed-0",),
        "finished runs",
    ),
    Benchmark(
        "time_to_front",
        "search_cost/time_to_front",
        "device time after which this build has the front of an earlier one; each saving off in "
        "turn",
        COST,
        ("time_to_front-*",),
        ("--before", "fd512cb", "--seeds", "0"),
        "a clone of the repository with its history",
    ),
    Benchmark(
        "recorded_forecasts",
        "search_cost/recorded_forecasts",
        "device time and evaluations that finished runs were predicted to take",
        COST,
        ("recorded_forecasts",),
        ("runs/seed-0",),
        "finished runs",
    ),
)
