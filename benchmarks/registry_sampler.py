"""Benchmarks of the sampler: its speed, its work, its quality, and the papers' tables."""

from __future__ import annotations

from benchmarks.entry import PAPERS, QUALITY, SPEED, WORK, Benchmark

SAMPLER = (
    Benchmark(
        "sampler",
        "sampler_speed/unet_methods",
        "speed, work and memory of every UNet method on Stable Diffusion 1.5, 2.1 and XL, "
        "compared with DeepCache, tomesd, cache-dit and diffusers' hooks. Generations and "
        "single calls alternate. A GPU runs full sizes at batches 1 and 8. --compile compiles "
        "the networks",
        SPEED,
        ("sampler-*",),
        ("--width", "0.1", "--latent", "32"),
    ),
    Benchmark(
        "checks",
        "sampler_speed/sampler_checks",
        "share of a generation that the sampler's checks take: the pipeline of a pass is found, "
        "and everything that a strategy attached is in place",
        SPEED,
        ("checks",),
    ),
    Benchmark(
        "transformer_speed",
        "sampler_speed/transformer_methods",
        "speed, work and memory of every transformer method on Stable Diffusion 3, PixArt-Sigma, "
        "DiT, FLUX.1, FLUX.2 and Qwen-Image, compared with cache-dit and diffusers' hooks. "
        "Generations alternate. A GPU runs full sizes at batches 1 and 8. --compile compiles "
        "the networks",
        SPEED,
        ("transformer_speed-*",),
        ("--width", "0.25", "--layers", "6", "--latent", "48", "--calls", "14"),
    ),
    Benchmark(
        "merging",
        "sampler_speed/token_merging",
        "time of selecting and averaging tokens as the token methods do, compared with a gather "
        "and a scatter",
        SPEED,
    ),
    Benchmark(
        "selection",
        "sampler_speed/cat_selection",
        "time of CAT Pruning's choice of tokens, and its k-means compared with SciPy's and "
        "scikit-learn's",
        SPEED,
        ("selection-*",),
    ),
    Benchmark(
        "profile_calls",
        "sampler_speed/profile_calls",
        "time of every kind of accelerated call compared with the ideal, and the share of the "
        "rest that is Stratagem's own",
        SPEED,
        ("profile-*",),
        ("unet", "--width", "0.1", "--latent", "32"),
    ),
    Benchmark(
        "latency_table",
        "sampler_speed/latency_table",
        "the latency table compared with end-to-end time on random strategies, interleaved",
        SPEED,
        ("latency_table",),
    ),
    Benchmark(
        "launches",
        "work/kernel_launches",
        "operators that compute in generations and calls of every method and of other packages. "
        "A GPU waits for them if launching takes longer than computing",
        WORK,
        ("launches",),
    ),
    Benchmark(
        "kept",
        "work/kept_bytes",
        "bytes that a method keeps from one call to the next, counted by shape at full size",
        WORK,
        ("kept",),
    ),
    Benchmark(
        "stacks",
        "work/transformer_stacks",
        "the laws of deltacache on every transformer of diffusers that has a test model: nothing "
        "changes with neutral knobs and after removing, blocks run as the strategy says, and a "
        "call without blocks gives the output of the full call for the same input",
        WORK,
        ("stacks",),
        (),
        "a checkout of diffusers: --diffusers FOLDER",
    ),
    Benchmark(
        "macs",
        "work/macs",
        "multiply-accumulates of the published settings at full size, compared with CAT "
        "Pruning's tables",
        WORK,
        ("macs",),
    ),
    Benchmark(
        "transformer_quality",
        "method_quality/transformer_quality",
        "quality of every transformer method on tiny-pixart, compared with the front of a "
        "search at equal latency",
        QUALITY,
        ("transformer_quality*",),
        ("--images", "20", "--repeats", "3"),
        "a finished run for the rows of the front: --run runs/NAME",
    ),
    Benchmark(
        "unet_quality",
        "method_quality/unet_quality",
        "quality and speed of every UNet method alone on tiny-portraits, and of fewer steps",
        QUALITY,
        ("unet_quality-*",),
        ("--images", "16", "--repeats", "3"),
    ),
    Benchmark(
        "predictors",
        "quality/residual_predictors",
        "forecasts of the residual that deltacache adds: its orders, HiCache, FoCa and dynamic "
        "mode decomposition, at equal schedules on tiny-pixart",
        QUALITY,
        ("predictors",),
        ("--images", "16"),
    ),
    Benchmark(
        "no_loss",
        "quality/no_loss",
        "verdicts of strategies on many held-out prompts, and a picture of one",
        QUALITY,
        ("no_loss",),
        ("deepcache-n3", "--images", "64"),
    ),
    Benchmark(
        "steps_needed",
        "quality/steps_needed",
        "right answers and FD to real images of few and many steps, with and without guidance. "
        "They show whether a bundled model needs its steps and its guidance",
        QUALITY,
        cpu=("tiny-portraits", "--images", "64"),
    ),
    Benchmark(
        "equal_latency",
        "quality/equal_latency",
        "the front of a search compared with presets, the uniform grid and fewer steps. All are "
        "scored and timed in the same way. The result is how many of these baselines it "
        "dominates",
        QUALITY,
        ("equal-latency-*",),
        ("tiny-sd", "--run", "runs/NAME", "--images", "16", "--repeats", "3"),
        "a finished run",
    ),
    Benchmark(
        "order",
        "quality/extrapolation_order",
        "effect of extrapolation instead of reuse in DeepCache on tiny-sd",
        QUALITY,
        ("order",),
    ),
    Benchmark(
        "mask",
        "quality/cache_dit_export",
        "FORA compared with the same schedules exported to cache-dit, on tiny-pixart",
        QUALITY,
        ("cache-dit",),
        ("--images", "32"),
    ),
    Benchmark(
        "method_figures",
        "quality/method_heatmaps",
        "pictures of docs/methods.md: the work of each part of the denoiser at each call",
        QUALITY,
    ),
    Benchmark(
        "papers_dato",
        "papers/dato",
        "DaTo's Tables 1 to 4 compared with ours: from the real model with --model, else by "
        "multiply-accumulates at full size and on tiny-sd",
        PAPERS,
        ("papers_dato",),
    ),
    Benchmark(
        "papers_cat",
        "papers/cat",
        "CAT Pruning's Tables 2 and 3 compared with ours: from the real model with --model, "
        "else by multiply-accumulates at full size",
        PAPERS,
        ("papers_cat",),
    ),
    Benchmark(
        "papers_speed",
        "sampler_speed/paper_settings",
        "speedups of the published settings of DaTo, CAT Pruning, FORA and ToMe at full size "
        "with random weights, compared with the papers'",
        PAPERS,
        ("papers_speed",),
        ("--width", "0.1", "--latent", "16", "--layers", "2"),
        "a GPU, to be meaningful",
    ),
    Benchmark(
        "papers_fora",
        "papers/fora",
        "FORA's Tables 1 to 3 compared with ours: from the real model with --model, else by "
        "multiply-accumulates at full size and on tiny-pixart",
        PAPERS,
        ("papers_fora",),
    ),
    Benchmark(
        "papers_catome",
        "papers/catome",
        "CA-ToMe's Tables I to IV compared with ours: from the real model with --model, else as "
        "bounds by multiply-accumulates at full size and on tiny-sd",
        PAPERS,
        ("papers_catome",),
    ),
    Benchmark(
        "transfer",
        "quality/transfer",
        "strategies found on tiny-sd at other solvers, steps, sizes and tasks, and on "
        "tiny-pixart, compared with fewer steps of equal work (docs/transfer.md)",
        QUALITY,
        ("transfer-*",),
    ),
    Benchmark(
        "guidance_calls",
        "sampler_speed/guidance_calls",
        "cost of a call without guidance compared with a guided one, on Stable Diffusion XL and 3",
        SPEED,
        ("guidance_calls-*",),
        ("--width", "0.1", "--latent", "32"),
    ),
    Benchmark(
        "guided_steps",
        "quality/guided_steps",
        "guidance at some calls compared with guidance at every call of fewer steps",
        QUALITY,
        ("guided_steps",),
    ),
    Benchmark(
        "parallel_calls",
        "quality/parallel_calls",
        "ParaDiGMS, several calls in one batch, compared with single calls and fewer of them",
        QUALITY,
        ("parallel_calls",),
    ),
    Benchmark(
        "affine_guidance",
        "quality/affine_guidance",
        "whether an affine form of kept predictions (LinearAG) beats reuse of the last difference",
        QUALITY,
        ("affine_guidance",),
    ),
    Benchmark(
        "solver_settings",
        "quality/solver_settings",
        "spacings and noise levels of the solvers at few steps",
        QUALITY,
        ("solver_settings",),
    ),
    Benchmark(
        "few_step_lora",
        "search_quality/few_step_lora",
        "a few-step LoRA and the strategies of its search, compared with the guided model",
        QUALITY,
        ("few_step_lora",),
        needs="a LoRA of `python -m zoo.distill`",
    ),
)
