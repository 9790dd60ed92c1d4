"""Guidance at some calls, and a strategy that a search found, compared with fewer guided steps.

    python -m benchmarks run guided_steps --images 192

tiny-sd, held-out prompts. For each number of guided steps that a user would try there is a strategy
with at most as much work whose middle calls alone are guided. `benchmarks/found/tiny-sd-4x.json` is
from the front of a search (`python -m search --model tiny-sd --seed 0`). Scored as `python -m
evaluate` does, with 95 % intervals; latency is end to end, all in turns. Writes
`benchmarks/results/guided_steps.json`.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch

from accel.models.config import read_model
from accel.models.loading import quiet
from benchmarks.entry import FOLDER, RESULTS
from benchmarks.quality import scored_strategies
from benchmarks.quality.scored_strategies import BASELINE, Candidate
from evaluate import Evaluator
from strategies import Strategy, load

DDIM, DPM = "DDIMScheduler", "DPMSolverMultistepScheduler"
FOUND = "found by a search"
PAIRS = {
    "DDIM 8, calls 2 to 5 guided": ("DDIM 6", 1 / 3),
    FOUND: ("DDIM 6", 1 / 3),
    "DPM++ 5, calls 1 and 2 guided": ("DPM++ 5", 1 / 5),
}  # The strategy that each is compared with, and the share of its FD that it is held to.


def plain(scheduler: str, steps: int, guided: range | None = None, spacing: str = "") -> Strategy:
    """Fewer steps, guided at all calls or at some."""
    calls = range(steps)
    mode = ["full" if guided is None or call in guided else "off" for call in calls]
    return Strategy.create(
        family="unet",
        scheduler=scheduler,
        steps=steps,
        calls=steps,
        solver={"spacing": spacing} if spacing else {},
        methods={} if guided is None else {"guidance": {"mode": mode}},
    )


STRATEGIES = {
    "DDIM 6": plain(DDIM, 6),
    "DDIM 8, calls 2 to 5 guided": plain(DDIM, 8, range(2, 6)),
    "DDIM 8": plain(DDIM, 8),
    "DPM++ 5": plain(DPM, 5),
    "DPM++ 5, calls 1 and 2 guided": plain(DPM, 5, range(1, 3)),
    "DDIM 4, trailing, not guided": plain(DDIM, 4, range(0), "trailing"),
    FOUND: load(FOLDER / "found" / "tiny-sd-4x.json"),
}


def main() -> None:
    """Generate, compare and write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=192)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--cache", type=Path, default=Path("runs/guided-steps"))
    parser.add_argument("--out", type=Path, default=RESULTS)
    flags = parser.parse_args()
    quiet()
    torch.set_num_threads(1)
    evaluator = Evaluator(read_model("tiny-sd"))
    chosen = {BASELINE: Candidate(BASELINE, evaluator.unaccelerated)}
    chosen |= {name: Candidate("fewer steps", one) for name, one in STRATEGIES.items()}
    rows, _ = scored_strategies.rows(evaluator, chosen, flags.images, flags.repeats, flags.cache)
    for name, row in rows.items():
        print(f"{name}: FD {row['fd_base']:.1f}, {row['speedup']:.2f}x", flush=True)
    pairs = {
        name: {
            "compared_with": other,
            "share_of_fd": rows[name]["fd_base"] / rows[other]["fd_base"],
            "at_most": share,
            "share_of_time": rows[name]["seconds"] / rows[other]["seconds"],
        }
        for name, (other, share) in PAIRS.items()
    }
    document = {"images": flags.images, "repeats": flags.repeats, "pairs": pairs, "rows": rows}
    path = flags.out / "guided_steps.json"
    path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
