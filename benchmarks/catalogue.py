"""What can be measured: one entry per script, with the results it writes.

`python -m benchmarks` lists and runs these; `report.py` makes a page of their results.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent
RESULTS = FOLDER / "results"


@dataclass(frozen=True)
class Benchmark:
    """A script of this folder.

    Attributes:
        about: what it measures.
        group: heading it stands under.
        results: names of its files in `results/`, without `.json`; `*` stands for anything.
        cpu: arguments that make it affordable without a GPU.
        needs: what it cannot do without, in words.
        script: its file, where that has another name.
    """

    name: str
    about: str
    group: str
    results: tuple[str, ...] = ()
    cpu: tuple[str, ...] = ()
    needs: str = ""
    script: str = ""

    @property
    def path(self) -> Path:
        """Its script."""
        return FOLDER / f"{self.script or self.name}.py"

    @property
    def files(self) -> list[Path]:
        """Its results that are there, by name."""
        return sorted({path for name in self.results for path in RESULTS.glob(f"{name}.json")})


SPEED, WORK, QUALITY = "Speed of the sampler", "Work and memory", "Quality"
SCORES, SEARCH, ENGINE = "Scores", "Searches", "The engine"
PAPERS = "The papers' tables"

BENCHMARKS = (
    Benchmark(
        "sampler",
        "generations and calls of every UNet method on Stable Diffusion 1.5, 2.1 and XL beside "
        "DeepCache, tomesd, cache-dit, diffusers' hooks and the work they save, alternating; on a "
        "GPU at full size and at batches 1 and 8, with peak memory and synchronisations; --compile",
        SPEED,
        ("sampler-*",),
        ("--width", "0.1", "--latent", "32"),
    ),
    Benchmark(
        "checks",
        "share of a generation that the sampler's checks take: which pipeline makes a pass, and "
        "whether everything that a strategy attached is in place",
        SPEED,
        ("checks",),
    ),
    Benchmark(
        "transformer_speed",
        "generations of every transformer method on Stable Diffusion 3, PixArt-Sigma and DiT "
        "beside cache-dit, diffusers' hooks and the work they save, alternating; on a GPU at full "
        "size and at batches 1 and 8, with peak memory and synchronisations; --compile",
        SPEED,
        ("transformer_speed-*",),
        ("--width", "0.25", "--layers", "6", "--latent", "48", "--calls", "14"),
    ),
    Benchmark(
        "merging",
        "taking and averaging tokens as the token methods do, beside a gather and a scatter",
        SPEED,
    ),
    Benchmark(
        "selection",
        "what CAT Pruning's choice of tokens costs; its k-means beside SciPy's and scikit-learn's",
        SPEED,
        ("selection-*",),
    ),
    Benchmark(
        "profile_calls",
        "time of every kind of accelerated call beside the ideal, what is left above it, and how "
        "much of it is Stratagem's own",
        SPEED,
        ("profile-*",),
        ("unet", "--width", "0.1", "--latent", "32"),
    ),
    Benchmark(
        "latency_table",
        "the latency table against end-to-end time on random strategies, interleaved",
        SPEED,
        ("latency_table",),
    ),
    Benchmark(
        "launches",
        "operators of generations and calls of every method that compute, beside the packages': "
        "what a GPU waits for where launching takes longer than computing",
        WORK,
        ("launches",),
    ),
    Benchmark(
        "macs",
        "multiply-accumulates of the published settings at full size beside CAT Pruning's tables",
        WORK,
        ("macs",),
    ),
    Benchmark(
        "transformer_quality",
        "every transformer method on tiny-pixart beside the front of a search, at equal latency",
        QUALITY,
        ("transformer_quality",),
        ("--images", "20", "--repeats", "3"),
        "a finished run for the rows of the front: --run runs/NAME",
    ),
    Benchmark(
        "no_loss",
        "which of some strategies have no loss on many held-out prompts, and a picture of one",
        QUALITY,
        ("no_loss",),
        ("deepcache-n3", "--images", "64"),
    ),
    Benchmark(
        "steps_needed",
        "whether a bundled model in training needs its steps and its guidance: right answers and "
        "FD to real images of few and many steps, with and without guidance",
        QUALITY,
        cpu=("tiny-portraits", "--images", "64"),
        needs="a checkpoint of its training: --work FOLDER",
    ),
    Benchmark(
        "equal_latency",
        "the front of a search beside presets, the uniform grid and fewer steps, all scored and "
        "timed alike: how many of these rivals it dominates",
        QUALITY,
        ("equal-latency-*",),
        ("tiny-sd", "--run", "runs/NAME", "--images", "16", "--repeats", "3"),
        "a finished run",
    ),
    Benchmark(
        "order",
        "what extrapolation brings over reuse in DeepCache on tiny-sd",
        QUALITY,
        ("order",),
    ),
    Benchmark(
        "mask",
        "FORA beside the same schedules exported to cache-dit, on tiny-pixart",
        QUALITY,
        ("cache-dit",),
        ("--images", "32"),
    ),
    Benchmark(
        "method_figures",
        "the pictures of docs/methods.md: what each part of the denoiser computes at each call",
        QUALITY,
    ),
    Benchmark(
        "papers_dato",
        "DaTo's Tables 1 to 4 beside ours: from the real model with --model, else by "
        "multiply-accumulates at full size and on tiny-sd",
        PAPERS,
        ("papers_dato",),
    ),
    Benchmark(
        "papers_cat",
        "CAT Pruning's Tables 2 and 3 beside ours: from the real model with --model, else by "
        "multiply-accumulates at full size",
        PAPERS,
        ("papers_cat",),
    ),
    Benchmark(
        "papers_speed",
        "speedups of DaTo's, CAT Pruning's, FORA's and ToMe's published settings at full size with "
        "random weights, beside the papers'",
        PAPERS,
        ("papers_speed",),
        ("--width", "0.1", "--latent", "16", "--layers", "2"),
        "a GPU for figures that mean something",
    ),
    Benchmark(
        "papers_fora",
        "FORA's Tables 1 to 3 beside ours: from the real model with --model, else by "
        "multiply-accumulates at full size and on tiny-pixart",
        PAPERS,
        ("papers_fora",),
    ),
    Benchmark(
        "papers_catome",
        "CA-ToMe's Tables I to IV beside ours: from the real model with --model, else as bounds by "
        "multiply-accumulates at full size and on tiny-sd",
        PAPERS,
        ("papers_catome",),
    ),
    Benchmark(
        "transfer",
        "strategies found on tiny-sd at other solvers, steps, sizes and tasks, and on tiny-pixart, "
        "beside fewer steps of equal work (docs/transfer.md)",
        QUALITY,
        ("transfer-*",),
    ),
    Benchmark(
        "distances",
        "the Frechet distance beside clean-fid's: how equal, how much faster",
        SCORES,
        ("distances",),
    ),
    Benchmark(
        "pool",
        "draws the images that `rungs` needs; stopped, it goes on",
        SCORES,
        cpu=("tiny-sd", "--out", "runs/pool", "--images", "256"),
    ),
    Benchmark(
        "rungs",
        "which figure on how few images ranks strategies as many images would",
        SCORES,
        ("rungs-*",),
        ("tiny-sd", "--pool", "runs/pool"),
        "the images that `pool` draws",
    ),
    Benchmark(
        "tabular_draw",
        "draws hundreds of strategies for the tabular benchmark; stopped, it goes on",
        SEARCH,
        cpu=("tiny-sd", "--out", "runs/tabular"),
    ),
    Benchmark(
        "tabular",
        "packs the tabular benchmark, and says how wrong its model is on unseen strategies",
        SEARCH,
        ("tabular-*",),
        ("check", "tiny-sd"),
    ),
    Benchmark(
        "efficiency",
        "searches beside one another on the tabular benchmark, at equal numbers of images",
        SEARCH,
        ("efficiency-*-rivals*", "efficiency-*-parts*"),
        ("tiny-sd", "--evaluations", "1000", "--seeds", "5"),
    ),
    Benchmark(
        "efficiency_live",
        "such searches with everything drawn, and what they found on held-out prompts",
        SEARCH,
        ("efficiency-live-*",),
        ("tiny-sd", "--evaluations", "100", "--draw", "runs/drawn"),
    ),
    Benchmark(
        "significance",
        "recomputes the p-values of the searches above from the hypervolumes that are stored",
        SEARCH,
    ),
    Benchmark(
        "hypervolume",
        "hypervolume of finished runs on held-out prompts, ours and the baselines'",
        SEARCH,
        ("hypervolume",),
        ("runs/seed-0", "runs/seed-1", "runs/seed-2"),
        "finished runs, such as those of benchmarks/front.sh",
    ),
    Benchmark(
        "wide_space",
        "whether a space of everything costs: searches of the same device time in the wide and in "
        "a narrow space, and which methods act in the wide one's fronts",
        SEARCH,
        ("wide-space-*",),
        ("--budget", "2m", "--seeds", "0"),
    ),
    Benchmark(
        "guidance_first",
        "the joint search beside one that evolves guidance first and caching after, as OUSAC does",
        SEARCH,
        ("guidance-first-*",),
        ("--budget", "2m", "--seeds", "0"),
    ),
    Benchmark(
        "guidance_calls",
        "what a call without guidance costs beside a guided one, on Stable Diffusion XL and 3",
        SPEED,
        ("guidance_calls-*",),
        ("--width", "0.1", "--latent", "32"),
    ),
    Benchmark(
        "reproduce",
        "an exported front applied again in a fresh process: scores and speedups",
        SEARCH,
        ("reproduce",),
        ("runs/seed-0",),
        "a finished run",
    ),
    Benchmark(
        "bookkeeping",
        "what proposing and writing an evaluation take as the study grows",
        ENGINE,
        ("bookkeeping",),
    ),
    Benchmark(
        "utilisation",
        "how busy the loop keeps its workers, with evaluations of 3x varying length",
        ENGINE,
        ("utilisation",),
        ("--ray",),
    ),
    Benchmark(
        "dry_run",
        "what --dry-run predicts beside what the run then takes",
        ENGINE,
        ("dry_run",),
        ("--budget", "150s", "--budget", "60evals", "--cpu-seconds"),
    ),
)


def find(name: str) -> Benchmark:
    """The benchmark of a name."""
    return next(one for one in BENCHMARKS if one.name == name)
