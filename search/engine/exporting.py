"""The end of a search: its finalists, or what it has found so far, in the folder of the run."""

from __future__ import annotations

from typing import Any

from search.engine import time_report
from search.engine.engine import Engine
from search.results import export
from search.results.finalist import Final
from search.results.run import Run


def write(engine: Engine, finals: list[Final]) -> dict[str, Any]:
    """Export a finished search and return its summary.

    Args:
        engine: engine of the run.
        finals: finalists, scored on held-out prompts.
    """
    summary = summarise(engine, finals)
    export.write(_run(engine, finals), summary)
    return summary


def summarise(engine: Engine, finals: list[Final]) -> dict[str, Any]:
    """The summary of a search; see `search.results.export.summarise`."""
    run = _run(engine, finals)
    reference = engine.worst(engine.make_goals(run.unaccelerated.scores))
    times = time_report.table(engine.clock.seconds, _paid(engine))
    return export.summarise(run, _initial(engine), reference, times, engine.unscored)


def write_failed(engine: Engine) -> None:
    """Export what is there of a search that cannot go on."""
    export.write_failed(_run(engine), _initial(engine))


def write_unfinished(engine: Engine) -> int:
    """Export the front of a search that was interrupted; returns its size."""
    return export.write_unfinished(_run(engine))


def _run(engine: Engine, finals: list[Final] | None = None) -> Run:
    return Run(engine.folder, engine.config, engine.study, finals)


def _paid(engine: Engine) -> dict[str, float]:
    return time_report.device(engine.study, engine.config.proposer)


def _initial(engine: Engine) -> set[str]:
    return {one.digest for _, one in engine.proposer.seeds}
