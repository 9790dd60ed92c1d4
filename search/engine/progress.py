"""What a search shows while it runs: a live table on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Self

from rich.console import Console
from rich.live import Live
from rich.table import Table

from search.results.status import Best, stand

if TYPE_CHECKING:
    from search.engine.engine import Engine

LINE_EVERY, TABLE_EVERY = 10.0, 0.25


def duration(seconds: float) -> str:
    """Seconds in words: `45 s`, `12 min`, `3 h 20 min`."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"


class Progress:
    """Call it with the engine after every change."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, auto_refresh=False) if console.is_terminal else None
        self._began, self._shown, self._doing = time.monotonic(), 0.0, ""
        self._best = Best()

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
            with suppress(OSError):  # The terminal may be gone.
                self._live.__exit__(kind, error, trace)

    def __call__(self, engine: Engine) -> None:
        now = time.monotonic()
        every = LINE_EVERY if self._live is None else TABLE_EVERY
        if engine.doing == self._doing and now - self._shown < every:
            return
        self._shown, self._doing = now, engine.doing
        figures = self._figures(engine)
        if self._live is None:
            line = " | ".join(f"{name} {value}" for name, value in figures.items())
            self._console.print(line, soft_wrap=True, highlight=False)
            return
        table = Table.grid(padding=(0, 2))
        for name, value in figures.items():
            table.add_row(f"[bold]{name}", value)
        self._live.update(table, refresh=True)

    def tell(self, line: str) -> None:
        """Print a line above what changes."""
        self._console.print(line, soft_wrap=True, highlight=False)

    def _figures(self, engine: Engine) -> dict[str, str]:
        standing = stand(engine.config, engine.study, self._best)
        elapsed = duration(time.monotonic() - self._began)
        found = {"now": engine.doing} | standing.words()
        if engine.proposer.surrogate:
            found["surrogate"] = engine.proposer.surrogate
        found["elapsed"] = elapsed
        if standing.left is not None:
            found["left"] = f"about {duration(standing.left)}"
        return found
