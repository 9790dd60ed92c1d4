"""Parts of the installation, and the line that names the one that is missing.

The base installation is the sampler. Everything else is an extra, and is looked for before a
command does anything.
"""

from __future__ import annotations

from importlib.util import find_spec

from strategies.errors import StrategyError

DISTRIBUTION = "diffusion-stratagem"
_EVALUATE = ("torchvision", "cleanfid", "torchmetrics", "filelock", "scipy")
_REPORT = (
    *("optuna", "sqlalchemy", "moocore", "pandas", "matplotlib", "jinja2", "plotly", "sklearn"),
    *("scipy", "filelock"),
)
# Libraries of each extra, as they are imported. `pyproject.toml` has their distributions.
LIBRARIES = {
    "evaluate": _EVALUATE,
    "report": _REPORT,
    "search": tuple(dict.fromkeys((*_EVALUATE, *_REPORT, "pymoo", "ray"))),
}
EXTRA_OF = {"evaluate.cli": "evaluate", "search.cli": "search"}  # Of each command line.
# Commands of `search` that only read runs.
READING = frozenset({"status", "front", "pick", "export", "plot", "report", "compare", "view"})
HELP = frozenset({"-h", "--help"})


class MissingExtraError(StrategyError, ImportError):
    """A part of the project is used that was not installed."""


def require(extra: str) -> None:
    """Check that all libraries of an extra are installed, without importing them.

    Raises:
        MissingExtraError: one is not; names it and the extra.
    """
    for name in LIBRARIES[extra]:
        if find_spec(name) is None:
            raise MissingExtraError(
                f"the package {name} is not installed; pip install '{DISTRIBUTION}[{extra}]', or "
                f"'{DISTRIBUTION}[all]' for everything"
            )


def require_for(module: str, words: list[str]) -> None:
    """Check that what a command line needs is installed.

    Args:
        module: module of the command line.
        words: its arguments.

    Raises:
        MissingExtraError: something is not.
    """
    extra = EXTRA_OF.get(module)
    if extra is not None and not HELP & set(words):
        require("report" if extra == "search" and words[:1] and words[0] in READING else extra)
