"""Notes on how a model was put together, for people: what came from which file."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager

LOGGER = logging.getLogger("stratagem.models")


class _Standard(logging.Handler):
    """Prints notes on standard error, wherever that leads now."""

    def emit(self, record: logging.LogRecord) -> None:
        print(record.getMessage(), file=sys.stderr)


def tell(line: str) -> None:
    """Tell people something about the model; a library user sees it with logging at INFO."""
    LOGGER.info(line)


def show_notes() -> None:
    """Print notes on standard error from now on, for command lines."""
    if not any(isinstance(one, _Standard) for one in LOGGER.handlers):
        LOGGER.addHandler(_Standard())
        LOGGER.setLevel(logging.INFO)
        LOGGER.propagate = False


@contextmanager
def silent() -> Iterator[None]:
    """Keep notes from being shown in the block, where the same model is loaded again."""
    before, LOGGER.disabled = LOGGER.disabled, True
    try:
        yield
    finally:
        LOGGER.disabled = before
