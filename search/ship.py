"""Files that ship with a bundled model, so that nobody has to generate them again.

    python -m search.ship tiny-sd --search 32 --heldout 384
    python -m search.ship tiny-pixart --search 32 --heldout 192 --no-baselines

`zoo/unaccelerated/` gets the unaccelerated images of the first prompts of both splits, in the
model's usual setting. `zoo/baselines/` gets the held-out features of fewer steps of every solver of
its search space, guided at every call. `--out` keeps finished parts, so that the same command
continues. Run it again whenever the model, its prompts or its networks change.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import torch

from accel import families
from accel.models.loading import quiet
from evaluate.evaluator import Split
from evaluate.extraction import ExtractedFeatures, ExtractionSpec
from evaluate.images.image_store import ImageStore
from evaluate.images.prompts import Prompts
from search import config, spaces
from search.config import SearchConfig
from search.images import feature_cache, shared_cache, shipped_samples
from search.initial.baselines import known_strategies
from search.workers.messages import SampleRequest
from search.workers.worker import Worker
from strategies import Strategy
from strategies.commands.interrupts import run_interruptible
from strategies.data_files import whole

MIN_BASELINE_STEPS, MAX_BASELINE_STEPS = (
    5,
    15,
)  # Steps of a baseline that a strategy without a loss is compared with.


def main() -> None:
    """Generate what is missing and write the files."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", nargs="?", default="tiny-sd")
    parser.add_argument("--search", type=int, default=32)
    parser.add_argument("--heldout", type=int, default=384)
    parser.add_argument(
        "--baselines", action=argparse.BooleanOptionalAction, default=True,
        help="whether the held-out features of baselines are written too",
    )  # fmt: skip
    parser.add_argument("--out", type=Path, default=Path("runs/unaccelerated"))
    flags = parser.parse_args()
    quiet()
    settings = config.resolve(flags.model, {})
    worker = Worker(settings.model.model_dump(), "cpu", 1)
    torch.set_num_threads(1)
    one = worker.evaluator
    origin = shared_cache.origin(settings.model, worker.weights, one.unaccelerated)
    _unaccelerated(worker, {"search": flags.search, "heldout": flags.heldout}, flags.out, origin)
    if not flags.baselines:
        return
    samples = {
        strategy.digest: _sample(worker, settings, strategy, flags.heldout, flags.out)
        for strategy in _baselines(worker, settings)
    }
    path = shipped_samples.samples_path(settings.model.name)
    prompts = one.prompts["heldout"].first(flags.heldout)
    _write(shipped_samples.pack(prompts, samples, origin), path, f"{len(samples)} baselines")


def _unaccelerated(worker: Worker, sets: dict[Split, int], out: Path, origin: str) -> None:
    one, store = worker.evaluator, ImageStore(out, worker.weights)
    prompts: list[Prompts] = []
    images = []
    for split, count in sets.items():
        prompts.append(one.prompts[split].first(count))
        side = store.generate(
            "unaccelerated", one.pipe, one.config, one.unaccelerated, prompts[-1], one.networks
        )
        images += list(side.images())
    path = shared_cache.shipped(one.config.name)
    _write(
        shared_cache.pack_images(prompts, np.stack(images), origin), path, f"{len(images)} images"
    )


def _baselines(worker: Worker, settings: SearchConfig) -> list[Strategy]:
    """Fewer steps of every solver of the model's search space, guided at every call."""
    pipe, model = worker.evaluator.pipe, settings.model
    family = families.find_sites(pipe)[0]
    space = spaces.make_space(settings.space, family, pipe.scheduler, model.share)
    rows = known_strategies(space, model.scheduler, model.steps, ["fewer-steps"])
    few = [one for _, one in rows if MIN_BASELINE_STEPS <= one.steps <= MAX_BASELINE_STEPS]
    return [one for one in few if not one.canonical().methods]


def _sample(
    worker: Worker, settings: SearchConfig, strategy: Strategy, count: int, out: Path
) -> ExtractedFeatures:
    reading = ExtractionSpec.of(settings.metric_set.metrics)
    path = feature_cache.features_path(out, strategy.digest, count)
    found = feature_cache.read_features(path, count, reading)
    if found is None:
        asked = SampleRequest(
            key=strategy.digest, strategy=strategy, split="heldout", stop=count, reading=reading,
            unaccelerated=str(out),
        )  # fmt: skip
        found = worker.sample(asked)
        feature_cache.write(found, path)
        print(f"generated {strategy.scheduler}, {strategy.steps} steps", flush=True)
    return found


def _write(content: bytes, path: Path, what: str) -> None:
    whole.make_folder(path.parent)
    whole.write(content, path)
    print(f"{what}, {path.stat().st_size / 1024:.0f} KB: {path}")


if __name__ == "__main__":
    sys.exit(run_interruptible(main))
