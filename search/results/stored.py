"""What the study keeps so that a run can be read without its model: figures of the unaccelerated
pipeline, the worst point that counts, versions, and the finalists.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from search.finalists.final_scoring import Final
from search.study import score_checks as gate
from search.study.study import Study
from strategies import Strategy
from strategies.strategy import SCORED
from strategies.transfer import LEVELS

if TYPE_CHECKING:
    from search.config import SearchConfig
    from search.engine.engine import Engine
    from search.results.run import Run

PACKAGES = ("diffusion-stratagem", "torch", "diffusers", "pymoo", "numpy")


def prepared(engine: Engine) -> None:
    """Keep what was measured before the first evaluation."""
    kept = {
        "base_scores": engine.base_scores,
        "reference": list(engine.goals.reference),
        "unscaled": list(engine.goals.unscaled),
        "versions": {package: _version(package) for package in PACKAGES},
    }
    if any(engine.study.noted(key) != value for key, value in kept.items()):
        engine.study.enter("prepared", kept)


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def keep_finals(study: Study, finals: Sequence[Final], config: SearchConfig) -> None:
    """Keep the finalists, with what they were chosen from: evaluations, and what was asked for.

    It is the last thing that a search writes, and what makes it a finished one.
    """
    rows = []
    for final in finals:
        row = {field.name: getattr(final, field.name) for field in fields(final)}
        rows.append(row | {"strategy": final.strategy.to_json()})
    asked = _asked(config)
    study.note("finals", {"evaluations": len(study.evaluations), "asked": asked, "rows": rows})


def _asked(config: SearchConfig) -> dict[str, Any]:
    return {"budget": config.budget, "export": config.export}


def is_finished(study: Study, config: SearchConfig) -> bool:
    """Whether the front that these settings ask for is exported."""
    if not finals(study):
        return False
    kept = study.noted("finals")
    return bool(kept.get("asked", _asked(config)) == _asked(config))


def finals(study: Study) -> list[Final]:
    """The finalists of a finished search; none where it has gone on since.

    An earlier version may have kept figures that are not finite; those finalists are left out.
    """
    kept = study.noted("finals")
    if kept is None or kept["evaluations"] != len(study.evaluations):
        return []
    names = {field.name for field in fields(Final)}
    found = []
    for row in kept["rows"]:
        if gate.unsound({**row["scores"], "an objective": row["objectives"]}):
            continue
        given = {name: value for name, value in row.items() if name in names}
        given["strategy"] = Strategy.create(**row["strategy"])
        found.append(Final(**given | {"objectives": tuple(row["objectives"])}))
    return found if any(one.role == "unaccelerated" for one in found) else []


def described(
    run: Run, strategy: Strategy, name: str, scores: dict[str, Any], baseline: dict[str, float]
) -> Strategy:
    """A strategy with its name, its scores and where they come from."""
    model, study = run.config.model, run.study
    levels = study.noted(LEVELS)
    return strategy.model_copy(
        update={
            "name": name,
            "scores": scores,
            "baseline": baseline,
            "provenance": {
                "model": model.name,
                "study": run.folder.name,
                "device": study.noted("table")["device"],
                "dtype": model.dtype,
                "batch": 1,
                "guidance": model.guidance,
                "resolution": [model.height, model.width],
                "versions": study.noted("versions"),
                "seed": run.config.seed,
                SCORED: strategy.digest,
                **({} if levels is None else {LEVELS: levels}),
            },
        }
    )
