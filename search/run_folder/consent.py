"""Consent to run code of the user's: a run whose model is a function goes on only if it is named.

A run's folder may come from somebody else. Its name of a function is therefore never run by itself.
"""

from __future__ import annotations

from pathlib import Path

from accel.models.config import ModelConfig, read_model
from accel.models.sources import is_function
from strategies import StrategyError


def check_consent(folder: Path, model: ModelConfig, given: str | None) -> None:
    """Check that a run may go on with its model.

    Args:
        folder: folder of the run.
        model: model of the run.
        given: value of --model, if any.

    Raises:
        StrategyError: another model is given, or the run's is a function that is not given.
    """
    if is_function(model.source):
        if given is None or model.source not in (given, _source_of(given)):
            raise StrategyError(
                f"{folder}: its model is the function {model.source}, code that runs with your "
                f"rights; if you trust it, give it again: --model {model.source}"
            )
    elif given is not None and Path(given).stem != model.name:
        raise StrategyError(
            f"{folder} is a run of model {model.name}, not of {given}; leave --model out, or start "
            "a new run"
        )


def _source_of(given: str) -> str:
    """Source of a config that the user names."""
    return read_model(given).source if given.endswith((".yaml", ".yml")) else ""
