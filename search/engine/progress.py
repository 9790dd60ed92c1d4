"""Progress of a running search: a live table on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from contextlib import suppress
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.table import Table

from search.config import SearchConfig
from search.proposers.generation_strategy import GenerationStrategy
from search.results.status import duration, search_status
from search.study.archive import ParetoArchive
from search.study.study import Study

LINE_EVERY, TABLE_EVERY = 10.0, 0.25


class Progress:
    """Progress of a running search; call it with the present activity after every change.

    Args:
        console: console to print to.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, auto_refresh=False) if console.is_terminal else None
        self._began, self._shown, self._doing = time.monotonic(), 0.0, ""
        self._best = ParetoArchive()
        self._watched: tuple[SearchConfig, Study, GenerationStrategy] | None = None

    def watch(self, config: SearchConfig, study: Study, generation: GenerationStrategy) -> None:
        """Show this search from now on.

        Args:
            config: settings of the search.
            study: log of the run.
            generation: choice of proposals of the search.
        """
        self._watched = config, study, generation

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

    def __call__(self, doing: str) -> None:
        now = time.monotonic()
        every = LINE_EVERY if self._live is None else TABLE_EVERY
        if doing == self._doing and now - self._shown < every:
            return
        self._shown, self._doing = now, doing
        figures = self._figures(doing)
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

    def _figures(self, doing: str) -> dict[str, str]:
        assert self._watched is not None
        config, study, generation = self._watched
        standing = search_status(config, study, self._best)
        elapsed = duration(time.monotonic() - self._began)
        found = {"now": doing} | standing.as_text()
        if generation.surrogate:
            found["surrogate"] = generation.surrogate
        found["elapsed"] = elapsed
        if standing.left is not None:
            found["left"] = f"about {duration(standing.left)}"
        return found
