"""What a search shows while it runs: a live table on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Self

import numpy as np
from rich.console import Console
from rich.live import Live
from rich.table import Table

from search.front import hypervolume, nondominated
from search.goals import more_is_better
from search.study import comparable

if TYPE_CHECKING:
    from search.engine import Engine

LINE_EVERY = 10.0


def _worse(name: str, scores: Mapping[str, float], base: Mapping[str, float]) -> bool:
    gain = base[name] - scores[name]
    return (gain > 0) if more_is_better(name) else (gain < 0)


class Progress:
    """Call it with the engine after every change."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, auto_refresh=False) if console.is_terminal else None
        self._began, self._printed, self._doing = time.monotonic(), 0.0, ""

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._live is not None:
            self._live.__exit__(kind, error, trace)

    def __call__(self, engine: Engine) -> None:
        figures = self._figures(engine)
        if self._live is not None:
            table = Table.grid(padding=(0, 2))
            for name, value in figures.items():
                table.add_row(f"[bold]{name}", value)
            self._live.update(table, refresh=True)
            return
        now = time.monotonic()
        if engine.doing != self._doing or now - self._printed > LINE_EVERY:
            self._printed, self._doing = now, engine.doing
            self._console.print(
                " | ".join(f"{k} {v}" for k, v in figures.items()), soft_wrap=True, highlight=False
            )

    def _figures(self, engine: Engine) -> dict[str, str]:
        study, budget = engine.study, engine.budget
        done = len(study.evaluations)
        if budget.seconds is not None:
            share = study.spent / budget.seconds
            used = f"{study.spent / 60:.1f} of {budget.seconds / 60:.1f} min device time"
        else:
            share = done / (budget.evaluations or 1)
            used = f"{done} of {budget.evaluations} evaluations"
        elapsed = time.monotonic() - self._began
        eta = elapsed * (1 - share) / share if 0 < share < 1 else 0.0
        figures = {
            "now": engine.doing,
            "budget": used,
            "evaluations": f"{done} ({sum(not e.ok for e in study.evaluations)} failed)",
        }
        good = comparable(study.evaluations)
        if good and hasattr(engine, "base_scores"):
            points = np.array([e.objectives for e in good])
            figures["front"] = str(len(nondominated(points)))
            figures["hypervolume"] = f"{hypervolume(points, engine.reference):.4f}"
            name = engine.figures.yardstick
            lossless = [e for e in good if name and not _worse(name, e.scores, engine.base_scores)]
            if lossless:
                best = max(e.scores["speedup"] for e in lossless)
                figures["best at no loss"] = f"{best:.2f}x"
        return figures | {"elapsed": f"{elapsed:.0f} s", "left": f"about {eta:.0f} s"}
