"""Benchmarks of scores and searches."""

from __future__ import annotations

from benchmarks.entry import ENGINE, SCORES, SEARCH, Benchmark

SEARCHES = (
    Benchmark(
        "distances",
        "metrics/frechet_distance",
        "the Frechet distance compared with clean-fid's: difference and speed",
        SCORES,
        ("distances",),
    ),
    Benchmark(
        "pool",
        "metrics/strategy_pool",
        "generates the images that `rungs` needs; resumes after an interruption",
        SCORES,
        cpu=("tiny-sd", "--out", "runs/pool", "--images", "256"),
    ),
    Benchmark(
        "rungs",
        "metrics/metric_ranking",
        "agreement of each metric on few images with the ranking by many images",
        SCORES,
        ("rungs-*",),
        ("tiny-sd", "--pool", "runs/pool"),
        "the images that `pool` generates",
    ),
    Benchmark(
        "tabular_draw",
        "search_quality/table_generation",
        "generates the images of hundreds of strategies for the tabular benchmark; resumes "
        "after an interruption",
        SEARCH,
        cpu=("tiny-sd", "--out", "runs/tabular"),
    ),
    Benchmark(
        "tabular",
        "search_quality/table_file",
        "the tabular benchmark in one file, and the error of its model on unseen strategies",
        SEARCH,
        ("tabular-*",),
        ("check", "tiny-sd"),
    ),
    Benchmark(
        "efficiency",
        "search_quality/compare_searches",
        "search algorithms compared on the tabular benchmark, at equal numbers of images",
        SEARCH,
        ("efficiency-*-optimizers*", "efficiency-*-parts*"),
        ("tiny-sd", "--evaluations", "1000", "--seeds", "5"),
    ),
    Benchmark(
        "efficiency_live",
        "search_quality/compare_generated",
        "the same searches with real images, and their fronts on held-out prompts",
        SEARCH,
        ("efficiency-live-*",),
        ("tiny-sd", "--evaluations", "100", "--draw", "runs/drawn"),
    ),
    Benchmark(
        "significance",
        "search_quality/significance",
        "p-values of the searches above, computed again from the stored hypervolumes",
        SEARCH,
    ),
    Benchmark(
        "hypervolume",
        "search_quality/hypervolume",
        "hypervolume of finished runs on held-out prompts, and of their baselines",
        SEARCH,
        ("hypervolume",),
        ("runs/seed-0", "runs/seed-1", "runs/seed-2"),
        "finished runs, such as those of benchmarks/front.sh",
    ),
    Benchmark(
        "wide_space",
        "search_quality/wide_space",
        "cost of a space of everything: searches of the same device time in the wide and in a "
        "narrow space, and the methods of the wide one's fronts",
        SEARCH,
        ("wide-space-*",),
        ("--budget", "2m", "--seeds", "0"),
    ),
    Benchmark(
        "guidance_first",
        "search_quality/guidance_first",
        "the joint search compared with OUSAC's order: guidance is evolved first, caching after",
        SEARCH,
        ("guidance-first-*",),
        ("--budget", "2m", "--seeds", "0"),
    ),
    Benchmark(
        "reproduce",
        "search_quality/reproduce_scores",
        "scores and speedups of an exported front that is applied again in a fresh process",
        SEARCH,
        ("reproduce",),
        ("runs/seed-0",),
        "a finished run",
    ),
    Benchmark(
        "bookkeeping",
        "engine/loop_overhead",
        "time of proposing and of writing an evaluation as the study grows",
        ENGINE,
        ("bookkeeping",),
    ),
    Benchmark(
        "utilisation",
        "engine/worker_utilisation",
        "share of the time that workers are busy, with evaluations of 3x varying length",
        ENGINE,
        ("utilisation",),
        ("--ray",),
    ),
    Benchmark(
        "dry_run",
        "engine/dry_run_accuracy",
        "predictions of --dry-run compared with the run",
        ENGINE,
        ("dry_run",),
        ("--budget", "150s", "--budget", "60evals", "--cpu-seconds"),
    ),
)
