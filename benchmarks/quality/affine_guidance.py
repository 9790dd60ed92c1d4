"""Whether an affine form of kept predictions beats reuse of the last difference.

    python -m benchmarks run affine_guidance --fit 64 --images 96

LinearAG (Adaptive Guidance, arXiv 2312.12487, section 6) replaces the prediction without the prompt
by an affine function of earlier predictions. Its coefficients are fitted to a model, a solver and a
number of steps. Here they are fitted by least squares, one set per call, on the trajectories of
search prompts. The terms are the differences of the last calls that were guided, the predictions
with the prompt of this call and of the one before it, and a constant. These forms are scored on
held-out prompts with the same guided calls: guidance off, the last difference (order 0), a line
through the last two (order 1), the last difference with a fade, the affine form, and its first term
alone. This is the last difference, times one number per call. Writes
`benchmarks/results/affine_guidance.json`.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from accel.models.config import read_model
from accel.models.loading import quiet
from benchmarks.entry import RESULTS
from evaluate import Evaluator, scoring
from evaluate.evaluator import real_images
from evaluate.image_set import ImageSet
from evaluate.metrics import ReferenceKind, select_metrics
from strategies import Strategy

METRICS = ("fd", "psnr")
SETTINGS = (("DDIMScheduler", 8), ("DDIMScheduler", 20), ("DPMSolverMultistepScheduler", 20))
FADES = (0.7, 0.9)
KEPT = 2  # Guided calls whose differences are read.
Combine = Callable[[int, Tensor, Tensor], Tensor]


def patterns(steps: int) -> dict[str, list[bool]]:
    """Guided calls of each pattern."""
    half = steps // 2
    return {
        "first half guided": [call < half for call in range(steps)],
        "every other call of the first half": [
            call < half and call % 2 == 0 for call in range(steps)
        ],
    }


class Kept:
    """Predictions of one generation that the affine form reads."""

    def __init__(self) -> None:
        self.differences: list[Tensor] = []
        self.conditional: Tensor | None = None

    def terms(self, conditional: Tensor) -> Tensor:
        """Regressors of a call, `[terms, values]`; the last difference is the first of them."""
        past = self.differences[-KEPT:][::-1]
        found = [*past, conditional]
        if self.conditional is not None:
            found.append(self.conditional)
        flat = [one.flatten() for one in found]
        return torch.stack([*flat, torch.ones_like(flat[0])]).double()


class Fit:
    """Sums of least squares of every call with its guided calls before it."""

    def __init__(self, guided: Sequence[bool]) -> None:
        self.guided, self.kept = guided, Kept()
        self.sums: dict[int, tuple[Tensor, Tensor]] = {}

    def combine(self, call: int, unconditional: Tensor, conditional: Tensor) -> Tensor:
        """Add a call to the sums; the prediction stays as it is."""
        if call == 0:
            self.kept = Kept()
        difference = conditional - unconditional
        if self.guided[call]:
            self.kept.differences.append(difference)
        else:
            x, y = self.kept.terms(conditional), difference.flatten().double()
            xx, xy = self.sums.get(call, (0.0, 0.0))
            self.sums[call] = xx + x @ x.T, xy + x @ y
        self.kept.conditional = conditional
        return unconditional

    def coefficients(self, terms: int | None = None) -> dict[int, Tensor]:
        """Solution of each call that is not guided, with all terms or the first ones alone."""
        return {
            call: torch.linalg.lstsq(xx[:terms, :terms], xy[:terms], driver="gelsd").solution
            for call, (xx, xy) in self.sums.items()
        }


class Affine:
    """Predictions without the prompt from fitted coefficients."""

    def __init__(self, guided: Sequence[bool], coefficients: dict[int, Tensor]) -> None:
        self.guided, self.coefficients, self.kept = guided, coefficients, Kept()

    def combine(self, call: int, unconditional: Tensor, conditional: Tensor) -> Tensor:
        """The unconditional prediction of a call: its own if it is guided, else the affine one."""
        if call == 0:
            self.kept = Kept()
        made = unconditional
        if self.guided[call]:
            self.kept.differences.append(conditional - unconditional)
        else:
            weights = self.coefficients[call]
            found = weights @ self.kept.terms(conditional)[: len(weights)]
            made = conditional - found.to(conditional.dtype).view_as(conditional)
        self.kept.conditional = conditional
        return made


@contextmanager
def combined(pipe: Any, calls: int, combine: Combine) -> Iterator[None]:
    """Give the pipeline another prediction without the prompt at each call."""
    network, place = pipe.unet, [0]
    forward = network.forward

    def changed(*args: Any, **keywords: Any) -> Any:
        output = forward(*args, **keywords)
        found = output[0] if isinstance(output, tuple) else output.sample
        unconditional, conditional = found.chunk(2)
        made = combine(place[0], unconditional, conditional)
        place[0] = (place[0] + 1) % calls
        whole = torch.cat([made, conditional])
        return (whole,) if isinstance(output, tuple) else type(output)(sample=whole)

    network.forward = changed
    try:
        yield
    finally:
        del network.forward


def plain(scheduler: str, steps: int, **guidance: Any) -> Strategy:
    """Strategy of fewer steps, with its guidance."""
    methods = {"guidance": guidance} if guidance else {}
    return Strategy.create(
        family="unet", scheduler=scheduler, steps=steps, calls=steps, methods=methods
    )


def sides(
    evaluator: Evaluator, scheduler: str, steps: int, fit: int, images: int
) -> dict[str, ImageSet]:
    """Held-out images of every pattern and form of one solver."""
    heldout = evaluator.prompts["heldout"].first(images)
    search = evaluator.prompts["search"].first(fit)
    full = plain(scheduler, steps)
    found = {"all guided": evaluator.generate("all guided", full, heldout)}
    for pattern, guided in patterns(steps).items():
        forms: dict[str, dict[str, Any]] = {
            "off": {"mode": ["full" if one else "off" for one in guided]},
            "order 0": {"mode": ["full" if one else "reuse" for one in guided], "order": 0},
            "order 1": {"mode": ["full" if one else "reuse" for one in guided], "order": 1},
        }
        for fade in FADES:
            modes = ["full" if one else "reuse" for one in guided]
            forms[f"order 0, fade {fade}"] = {"mode": modes, "fade": fade}
        for form, knobs in forms.items():
            name = f"{pattern}, {form}"
            found[name] = evaluator.generate(name, plain(scheduler, steps, **knobs), heldout)
        fitted = Fit(guided)
        with combined(evaluator.pipe, steps, fitted.combine):
            evaluator.generate("fit", full, search)
        for form, terms in (("affine", None), ("last difference, weighted", 1)):
            affine = Affine(guided, fitted.coefficients(terms))
            name = f"{pattern}, {form}"
            with combined(evaluator.pipe, steps, affine.combine):
                found[name] = evaluator.generate(name, full, heldout)
        print(scheduler, steps, pattern, flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fit", type=int, default=64, help="search prompts of the fit")
    parser.add_argument("--images", type=int, default=96, help="held-out prompts")
    parser.add_argument("--out", type=Path, default=RESULTS)
    flags = parser.parse_args()
    quiet()
    torch.set_num_threads(1)
    evaluator = Evaluator(read_model("tiny-sd"))
    heldout = evaluator.prompts["heldout"].first(flags.images)
    base = evaluator.generate("unaccelerated", evaluator.unaccelerated, heldout)
    metrics = select_metrics(METRICS, "shapes")
    real: dict[ReferenceKind, ImageSet] = {"real": real_images()}
    reference = scoring.statistics(base, base, real, metrics)
    rows: dict[str, dict[str, Any]] = {}
    for scheduler, steps in SETTINGS:
        table = rows[f"{scheduler} {steps}"] = {}
        for name, side in sides(evaluator, scheduler, steps, flags.fit, flags.images).items():
            found = scoring.statistics(side, base, real, metrics)
            ranges = scoring.intervals(found, reference, metrics, flags.images)
            table[name] = scoring.full_scores(found, flags.images) | {"intervals": ranges}
            print(f"{name}: FD {table[name]['fd_base']:.2f}", flush=True)
    document = {"images": flags.images, "fit": flags.fit, "rows": rows}
    path = flags.out / "affine_guidance.json"
    path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
