"""Content of `config.yaml`: paths in the run's own folder are relative to it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from strategies import StrategyError
from strategies.data_files.yaml_files import read_yaml

OWN = "run:"  # Prefix of a path in the run's own folder.
PROMPTS = ("search_prompts", "heldout_prompts")


def load_config(path: Path) -> dict[str, Any]:
    """The content of a `config.yaml`.

    Raises:
        StrategyError: its folder is not a run.
    """
    try:
        data = read_yaml(path)
    except StrategyError as error:
        raise StrategyError(f"{path.parent} is not a run's folder: {error}") from None
    if not isinstance(data, dict):
        raise StrategyError(f"{path} does not hold a search's settings")
    return data


def dump_config(data: dict[str, Any], folder: Path) -> str:
    """The text of a `config.yaml` in a run's folder."""
    return yaml.safe_dump(portable(data, folder), sort_keys=False)


def portable(data: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Settings with paths in the run's own folder relative to it.

    Args:
        data: settings as plain data.
        folder: folder of the run.
    """
    model, home = dict(data["model"]), folder.absolute()
    for key in PROMPTS:
        if Path(model[key]).is_relative_to(home):
            model[key] = f"{OWN}{Path(model[key]).relative_to(home).as_posix()}"
    return data | {"model": model}


def with_present_paths(data: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Settings with the paths that `portable` has made, for the present place of the folder."""
    model = data.get("model")
    if not isinstance(model, dict):
        return data
    own = {
        key: str(folder.absolute() / model[key].removeprefix(OWN))
        for key in PROMPTS
        if isinstance(model.get(key), str) and model[key].startswith(OWN)
    }
    return data | {"model": model | own}
