"""The YAML files in `configs/`, by name or by path."""

from __future__ import annotations

from typing import Any

from strategies.data_files.places import sibling_folder
from strategies.data_files.yaml_files import from_yaml, read_yaml
from strategies.errors import StrategyError
from strategies.words import did_you_mean


def configs(folder: str) -> list[str]:
    """Names of the YAML files in `configs/<folder>/`."""
    return sorted(path.stem for path in (sibling_folder("configs") / folder).glob("*.yaml"))


def read_config(folder: str, name: str) -> dict[str, Any]:
    """A YAML file by its name in `configs/<folder>/` or by its path.

    Raises:
        StrategyError: there is none, or it is not a YAML mapping.
    """
    if name in configs(folder):
        data = from_yaml((sibling_folder("configs") / folder / f"{name}.yaml").read_text("utf-8"))
    elif name.endswith((".yaml", ".yml")):
        data = read_yaml(name)
    else:
        raise StrategyError(
            f"{folder.removesuffix('s')} {name!r} is unknown; there are "
            f"{', '.join(configs(folder))}, or give the path of a .yaml file"
            f"{did_you_mean(name, configs(folder))}"
        )
    if not isinstance(data, dict):
        raise StrategyError(f"{name}: must hold a mapping of settings")
    return data
