"""The table of diffusers' pipelines in docs/models.md.

`python -m tests.support.pipelines.pipeline_table` writes it.

Every class of the installed diffusers whose constructor takes a supported network has a row. Where
a tiny pipeline of it can be built, all methods of the network's family draw with it, together where
they may, and the row says what happened.
"""

from __future__ import annotations

import inspect
import re
import sys
from typing import Any

import diffusers
import torch

import accel
from accel import families
from accel.models.loading import quiet
from accel.solvers import schedulers
from strategies import Strategy, StrategyError
from tests.support.paths import ROOT
from tests.support.pipelines import any_class, method_cases, transformer_pipelines

NETWORKS = (
    "UNet2DConditionModel",
    "SD3Transformer2DModel",
    "FluxTransformer2DModel",
    "PixArtTransformer2DModel",
    "DiTTransformer2DModel",
)
DOCS = ROOT / "docs" / "models.md"
REPEATS: dict[str, Any] = {"deepcache": {"depth": ["full", 0, "full", 0, "full", 0]}}
START = "| pipeline | with a strategy | refused |"


def classes() -> list[str]:
    """Pipelines whose constructor takes a supported network, by name."""
    found = []
    for name in sorted(dir(diffusers)):
        kind: Any = getattr(diffusers, name, None)
        if not inspect.isclass(kind) or not issubclass(kind, diffusers.DiffusionPipeline):
            continue
        takes = inspect.signature(kind.__init__).parameters.values()
        if any(re.search(rf"\b{n}\b", str(one.annotation)) for one in takes for n in NETWORKS):
            found.append(name)
    return found


def strategy(pipe: Any, methods: dict[str, Any]) -> Strategy:
    """For this pipeline's solver, and as many calls as it makes."""
    family, _ = families.find_sites(pipe)
    solver = type(pipe.scheduler).__name__
    made = Strategy.create(
        family=family, scheduler="DDIMScheduler", steps=6, calls=6, methods=methods
    )
    calls = schedulers.count_calls(pipe.scheduler, solver, any_class.STEPS)
    return made.resample(calls=calls, steps=any_class.STEPS, scheduler=solver)


def row(name: str) -> str:
    """What happens to a pipeline, as a line of the table."""
    try:
        pipe = any_class.build(name)
    except any_class.NotTriedError as error:
        return line(name, "not tried", str(error))
    try:
        family, sites = families.find_sites(pipe)
    except StrategyError as error:
        return line(name, "no", f"at `apply`: {shortened(error)}")
    plain = any_class.draw(name, pipe)
    outcome = tried(name, {}, plain)
    if outcome is not None:
        return line(name, "no", outcome)
    single = dict(method_cases.STRONG if family == "unet" else transformer_pipelines.STRONG)
    if not any("cross" in part.kinds for part in sites.parts):
        single.pop("tgate", None)
    single.pop("paradigms")  # Its solver decides, not the pipeline.
    together = (
        method_cases.JOINT["everything"]
        if family == "unet"
        else transformer_pipelines.JOINT["cat+fora"]
    )
    refused: dict[str, list[str]] = {}
    works = list(together) if tried(name, together, plain) is None else []
    for method in (one for one in single if one not in works):
        outcome = tried(name, single[method], plain)
        if outcome is None:
            works.append(method)
        else:
            refused.setdefault(outcome, []).append(method)
    works = [method for method in single if method in works]
    if "deepcache" in refused_names(refused) and tried(name, REPEATS, plain) is None:
        works.append("deepcache of depths full and 0")
    refused = {why: [one for one in single if one in which] for why, which in refused.items()}
    said = "; ".join(f"{', '.join(which)}: {why}" for why, which in refused.items())
    if not works:
        return line(name, "no", said)
    return line(name, "all methods" if not refused else ", ".join(works), said)


def refused_names(refused: dict[str, list[str]]) -> set[str]:
    """The methods that were refused, for whatever reason."""
    return {method for methods in refused.values() for method in methods}


def tried(name: str, knobs: dict[str, Any], plain: torch.Tensor) -> str | None:
    """Why methods are refused, or None where they draw another, finite image.

    Raises:
        AssertionError: no method changes the image, or methods do not.
    """
    pipe = any_class.build(name)
    try:
        accel.apply(pipe, strategy(pipe, knobs))
        mine = any_class.draw(name, pipe)
    except StrategyError as error:
        return shortened(error)
    assert torch.isfinite(mine).all(), f"{name}: {knobs} is not finite"
    if set(knobs) == {"guidance"} and torch.equal(mine, plain):
        return "changes nothing, as it does not guide with two predictions"
    assert torch.equal(mine, plain) == (not knobs), f"{name}: {knobs} changes {bool(knobs)}"
    return None


def shortened(error: StrategyError) -> str:
    """The reason in an error, without the method's name and what to do."""
    text = re.sub(r"^methods\.\w+ ", "", str(error).partition(";")[0])
    text = re.sub(r" of [\w.]+, which", ", which", text)
    return text.replace("|", "/")


def line(name: str, works: str, refused: str) -> str:
    """A line of the table."""
    return f"| {name} | {works} | {refused} |"


def written(text: str) -> dict[str, str]:
    """Rows of the table in a document, by class."""
    table = text.partition(START)[2].partition("\n\n")[0]
    rows = [one for one in table.splitlines() if re.match(r"\| \w+ \|", one)]
    return {one.split()[1]: one for one in rows}


def main() -> None:
    """Write the rows of the classes named, or of all."""
    torch.set_num_threads(1)
    quiet()
    text = DOCS.read_text("utf-8")
    rows = written(text)
    for name in sys.argv[1:] or classes():
        rows[name] = row(name)
        print(rows[name], flush=True)
    before, _, rest = text.partition(START)
    after = rest.partition("\n\n")[2]
    table = "\n".join([START, "| --- | --- | --- |", *(rows[name] for name in sorted(rows))])
    DOCS.write_text(f"{before}{table}\n\n{after}", "utf-8")


if __name__ == "__main__":
    main()
