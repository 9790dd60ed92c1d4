"""Progress of a command on standard error: a bar in a terminal or a notebook, else some lines."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

LINE_EVERY = 10.0  # Seconds between two lines where there is no terminal.


class ProgressBar:
    """Progress of one command; call it after every image.

    Args:
        console: console to show it on; by default standard error.
    """

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True, markup=False)
        self._bar: Progress | None = None
        if self._console.is_terminal or self._console.is_jupyter:
            self._bar = Progress(
                TextColumn("{task.description}", markup=False),
                BarColumn(),
                TextColumn("{task.fields[count]}", markup=False),
                TimeRemainingColumn(),
                console=self._console,
                transient=True,
            )
            self._task = self._bar.add_task("starting", total=None, count="")
        self._name = self._unfinished = ""
        self._said = time.monotonic()

    def __enter__(self) -> Self:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def __call__(self, name: str, done: int, count: int) -> None:
        """Show how far a part of the command is.

        Args:
            name: name of the part.
            done: number of images that are there.
            count: number of images of the part; 0 for a part that is not counted.
        """
        now = time.monotonic()
        shown = f"{done} of {count} images" if count else ""
        if self._bar is not None:
            if name != self._name:
                self._bar.reset(self._task, description=name)
            self._bar.update(
                self._task, description=name, completed=done, total=count or None, count=shown
            )
        elif now - self._said >= LINE_EVERY or (name == self._unfinished and done == count):
            self._said, self._unfinished = now, name if done < count else ""
            self._console.print(f"{name}: {shown}" if shown else name, soft_wrap=True)
        self._name = name
