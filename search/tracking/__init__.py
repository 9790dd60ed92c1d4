"""Experiment trackers that a search can report to, by name; each needs its optional extra."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from pathlib import Path

from search.tracking.events import EventListener
from strategies import StrategyError

# Name, which is that of the extra, to the class.
TRACKERS = {"tensorboard": "TensorBoard", "mlflow": "MLflow", "wandb": "WandB"}


def load_trackers(names: Sequence[str]) -> list[Callable[[Path], EventListener]]:
    """A function for each tracker that makes it for the folder of a run.

    Args:
        names: names in `TRACKERS`.

    Raises:
        StrategyError: a tracker is not installed; the error says what to install.
    """
    found: list[Callable[[Path], EventListener]] = []
    for name in names:
        try:
            module = importlib.import_module(f"search.tracking.{name}_tracker")
        except ImportError as error:
            raise StrategyError(
                f"--track {name} needs a package that is not installed ({error.name}); "
                f"pip install 'diffusion-stratagem[{name}]'"
            ) from None
        found.append(getattr(module, TRACKERS[name]))
    return found
