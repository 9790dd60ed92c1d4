"""Effect of extrapolating DeepCache's feature on tiny-sd, compared with reusing it.

    python -m benchmarks run order --images 64

Uniform schedules on 25 DDIM steps, orders 0, 1 and 2, on held-out prompts; latency end to end,
interleaved. Writes `benchmarks/results/order.json`.
"""

from __future__ import annotations

import argparse
import json
from statistics import median
from typing import Any

import torch

from accel.models.loading import quiet
from benchmarks.entry import RESULTS
from evaluate import Evaluator, read_model, scoring
from evaluate.evaluator import real_images
from evaluate.image_set import ImageSet
from evaluate.metrics import ReferenceKind, select_metrics
from evaluate.speed.latency_measurement import measure_end_to_end
from evaluate.speed.timing import device_name
from evaluate.statistics.bootstrap import paired_bootstrap
from evaluate.statistics.distances import frechet_paired
from strategies import Strategy
from strategies.methods.deepcache import DeepCache


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=5)
    flags = parser.parse_args()
    quiet()
    torch.set_num_threads(1)
    evaluator = Evaluator(read_model("tiny-sd"))
    plain = evaluator.unaccelerated
    chosen: dict[str, Strategy] = {"unaccelerated": plain}
    for interval in (2, 3, 5):
        for order in (0, 1, 2):
            knobs = DeepCache.uniform(plain.calls, interval, 1, order)
            chosen[f"N={interval} order={order}"] = plain.model_copy(
                update={"methods": {"deepcache": knobs}}
            )
    prompts = evaluator.prompts["heldout"]
    times = measure_end_to_end(
        evaluator.pipe, evaluator.config, prompts, list(chosen.values()), flags.repeats
    )
    seconds = dict(zip(chosen, map(median, times), strict=True))
    drawn = prompts.first(flags.images)
    real: dict[ReferenceKind, ImageSet] = {"real": real_images()}
    samples = {n: evaluator.generate(n, s, drawn) for n, s in chosen.items()}
    base = samples["unaccelerated"]
    metrics = select_metrics(["fd", "feature-error", "psnr"], "shapes")
    result = {}
    for name, sample in samples.items():
        found = scoring.full_scores(scoring.statistics(sample, base, real, metrics), flags.images)
        row: dict[str, Any] = {k: found[k] for k in ("fd_base", "fd_real", "feature_error", "psnr")}
        row |= {"seconds": seconds[name], "speedup": seconds["unaccelerated"] / seconds[name]}
        reuse = samples.get(name[:-1] + "0")
        if "order" in name and not name.endswith("0") and reuse is not None:
            plain_features = base.features("bundled")
            mine = frechet_paired(sample.features("bundled"), plain_features)
            other = frechet_paired(reuse.features("bundled"), plain_features)

            def change(weights, mine=mine, other=other):  # type: ignore[no-untyped-def]
                return mine(weights) - other(weights)

            row["fd_base_minus_order_0"] = paired_bootstrap(change, flags.images).to_json()
        result[name] = row
        print(name, {k: v if isinstance(v, list) else round(v, 4) for k, v in row.items()})
    document = {"device": device_name(evaluator.pipe), "images": flags.images, "rows": result}
    target = RESULTS / "order.json"
    target.write_text(json.dumps(document, indent=2) + "\n")


if __name__ == "__main__":
    main()
