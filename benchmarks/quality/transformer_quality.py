"""Every transformer method on tiny-pixart: distance to the unaccelerated images against latency.

    python -m benchmarks run transformer_quality  # the methods' own knobs
    python -m benchmarks run transformer_quality --run runs/NAME  # and a search's front beside them
    python -m benchmarks run transformer_quality --run runs/NAME --seconds  # only time them anew

25 DDIM steps, held-out prompts. FD and FD to real images over the bundled features, paired error
in dB; latency end to end, interleaved, as medians. With `--run`, the front beside each of the rest
at its latency: the nearest of those of the front's strategies that are no slower. Writes
`benchmarks/results/transformer_quality.json`.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from statistics import median
from typing import Any

import torch

import strategies
from accel.models.config import read_model
from accel.models.loading import quiet
from benchmarks.entry import RESULTS
from evaluate import Evaluator, scoring
from evaluate.evaluator import real_images
from evaluate.image_set import ImageSet
from evaluate.metrics import ReferenceKind, select_metrics
from evaluate.speed.latency_measurement import measure_end_to_end
from evaluate.speed.timing import device_name
from strategies import Strategy
from strategies.methods.fora import FORA
from strategies.methods.toca import ToCa


def candidates(plain: Strategy) -> dict[str, Strategy]:
    """The methods with the knobs of their papers, and fewer steps."""
    calls = plain.calls
    knobs: dict[str, dict[str, Any]] = {}
    for interval in (2, 3, 4, 5, 6, 7):
        knobs[f"fora N={interval}"] = {"fora": FORA.published(calls, interval)}
    for alpha in (0.2, 0.3, 0.5, 0.8):
        for start in (3, 7):
            pruned = {"alpha": alpha, "start": start}
            knobs[f"cat alpha={alpha} start={start}"] = {"cat": pruned}
    for alpha in (0.3, 0.5, 0.8):
        knobs[f"atedm alpha={alpha} start=7"] = {"atedm": {"alpha": alpha, "start": 7}}
    noise = {"alpha": 0.3, "start": 7, "position_in_score": False}
    knobs["cat alpha=0.3 start=7, ranked by noise alone"] = {"cat": noise}
    for score_name in ("change", "attention"):
        one = ToCa.published(calls, 3, 0.07).model_copy(update={"score": score_name})
        knobs[f"toca interval=3 {score_name}"] = {"toca": one}
    for gate in (8, 12):
        knobs[f"tgate gate={gate}"] = {"tgate": {"gate": gate, "self_interval": 5}}
    found = {"unaccelerated": plain}
    for name, methods in knobs.items():
        fields = plain.to_json() | {"methods": methods}
        found[name] = Strategy.create(**fields)
    for steps in (20, 15, 12, 10, 8, 6, 5, 4):
        found[f"{steps} steps"] = plain.resample(steps=steps)
    return found


def dominated(rows: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Nearest strategy of the front that is no slower, by baseline.

    The unaccelerated model counts as one of the front: what is slower than it is beaten by it.
    """
    marks = ("front ", "unaccelerated")
    front = {name: row for name, row in rows.items() if name.startswith(marks)}
    found = {}
    for name, row in rows.items():
        if name in front or len(front) < 2:
            continue
        faster = {n: r for n, r in front.items() if r["seconds"] <= row["seconds"]}
        best = min(faster, key=lambda n: faster[n]["fd_base"], default=None)
        mine = faster[best]["fd_base"] if best else None
        found[name] = {
            "front": best,
            "fd_base": row["fd_base"],
            "front_fd_base": mine,
            "dominated": mine is not None and mine <= row["fd_base"],
        }
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--run", type=Path)
    parser.add_argument("--seconds", action="store_true", help="keep the scores of the last run")
    flags = parser.parse_args()
    quiet()
    torch.set_num_threads(1)
    evaluator = Evaluator(read_model("tiny-pixart"))
    chosen = candidates(evaluator.unaccelerated)
    for path in sorted(flags.run.glob("strategies/[0-9]*.json")) if flags.run else ():
        chosen[f"front {path.stem}"] = strategies.load(path)
    target = RESULTS / "transformer_quality.json"
    rows = json.loads(target.read_text())["rows"] if flags.seconds else {}
    if not flags.seconds:
        drawn = evaluator.prompts["heldout"].first(flags.images)
        real: dict[ReferenceKind, ImageSet] = {"real": real_images()}
        samples = {n: evaluator.generate(n, s, drawn) for n, s in chosen.items()}
        metrics = select_metrics(["fd", "psnr"], bundled=True)
        for name, sample in samples.items():
            figures = scoring.statistics(sample, samples["unaccelerated"], real, metrics)
            found = scoring.full_scores(figures, flags.images)
            rows[name] = {key: found[key] for key in ("fd_base", "fd_real", "psnr")}
    prompts = evaluator.prompts["heldout"]
    once = {one.digest: one for one in chosen.values()}  # The front has some of the others in it.
    times = measure_end_to_end(
        evaluator.pipe, evaluator.config, prompts, list(once.values()), flags.repeats
    )
    seconds = dict(zip(once, map(median, times), strict=True))
    plain = seconds[evaluator.unaccelerated.digest]
    for name, row in rows.items():
        own = seconds[chosen[name].digest]
        row |= {"seconds": own, "speedup": plain / own}
        print(name, {key: round(value, 3) for key, value in row.items()}, flush=True)
    verdict = dominated(rows)
    for name, one in verdict.items():
        if not one["dominated"]:
            print("not dominated:", name, one)
    document = {
        "device": device_name(evaluator.pipe),
        "images": flags.images,
        "repeats": flags.repeats,
        "rows": rows,
        "at_equal_latency": verdict,
    }
    target.write_text(json.dumps(document, indent=2) + "\n")


if __name__ == "__main__":
    main()
