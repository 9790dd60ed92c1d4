"""A run's front as plain data, for programs: one row for each strategy."""

from __future__ import annotations

from typing import Any

from search.results.run import FrontPoint, Run


def point_row(point: FrontPoint) -> dict[str, Any]:
    """A strategy of a front, as one row of a table."""
    strategy = point.strategy
    return {
        "origin": point.origin,
        "digest": strategy.digest[:12],
        "scheduler": strategy.scheduler,
        "steps": strategy.steps,
        "calls": strategy.calls,
        "prompts": point.prompts,
        "images": point.images,
        "no_loss": point.no_loss,
        "no_loss_images": point.judged,
        "why": "; ".join(point.verdict.reasons) if point.verdict else "",
        **point.scores,
    }


def point_data(point: FrontPoint) -> dict[str, Any]:
    """A strategy of a front with its intervals, its verdict and its file's content."""
    verdict = None if point.verdict is None else point.verdict.to_json()
    return point_row(point) | {
        "intervals": dict(point.intervals),
        "verdict": verdict,
        "strategy": point.strategy.to_json(),
    }


def front_data(run: Run, points: list[FrontPoint], state: str | None = None) -> dict[str, Any]:
    """A front with the unaccelerated scores.

    Args:
        run: run of the front.
        points: points of the front.
        state: state of the run, if it is about to change.
    """
    base = dict(points[0].base) if points else {}
    rows = [point_data(point) for point in points]
    return {"state": state or run.state, "unaccelerated": base, "rows": rows}
