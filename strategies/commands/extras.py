"""Parts of the installation, and the line that names the one that is missing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from strategies.errors import StrategyError

DISTRIBUTION = "diffusion-stratagem"
# Libraries that the base installation, the sampler, does not bring along, as they are imported.
OPTIONAL = frozenset(
    {
        *("cleanfid", "torchmetrics", "torchvision", "scipy", "filelock"),
        *("optuna", "sqlalchemy", "moocore", "pandas", "matplotlib", "jinja2", "markupsafe"),
        *("plotly", "sklearn", "pymoo", "ray"),
    }
)
# Extra that each command line needs. Commands of `search` that only read a run need less.
EXTRA_OF = {"evaluate.cli": "evaluate", "search.cli": "search"}
READING = frozenset({"status", "front", "pick", "export", "plot", "report"})


class MissingExtraError(StrategyError, ImportError):
    """A part of the project is used that was not installed."""


def extra_of(module: str, words: list[str]) -> str:
    """Extra that a command line needs.

    Args:
        module: module of the command line.
        words: its arguments.
    """
    if module == "search.cli" and words and words[0] in READING:
        return "report"
    return EXTRA_OF.get(module, "all")


def line(error: ModuleNotFoundError, extra: str) -> str | None:
    """The line that names a missing extra; None if another package is missing."""
    name = (error.name or "").partition(".")[0]
    if name not in OPTIONAL:
        return None
    return (
        f"the package {name} is not installed; pip install '{DISTRIBUTION}[{extra}]', or "
        f"'{DISTRIBUTION}[all]' for everything"
    )


@contextmanager
def needing(extra: str) -> Iterator[None]:
    """Raise one clear line if something inside the `with` block needs an extra that is missing.

    Raises:
        MissingExtraError: it does; names the package and the extra.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        told = line(error, extra)
        if told is None:
            raise
        raise MissingExtraError(told) from None
