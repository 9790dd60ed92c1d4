"""Settings that a run began with, kept by its study as well as in `config.yaml`.

A file that was cut or edited would silently search for something else: limits would be gone, or
images and seeds changed. Settings that may change in a resumed run are free. So are the paths of
prompts and weights, since their content is compared with the run's own
(`search.run_folder.inputs`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from search import config as configuration
from search import portable_paths as portable
from search.config import SearchConfig
from search.study.run_notes import UnopenedStudy
from search.study.storage.location import JOURNAL
from search.study.study import NAME
from strategies import StrategyError

RESUMABLE = (
    *("budget", "workers", "export", "track"),
    *("gpus_per_worker", "cpus_per_worker", "address", "timeout"),
)
PLACES = ("model.search_prompts", "model.heldout_prompts", "model.source", "study")
SHOWN = 60  # Characters of a value in an error.


def kept_settings(config: SearchConfig, folder: Path) -> dict[str, Any]:
    """Settings of a run in the form that its study keeps."""
    return portable.portable(config.model_dump(mode="json"), folder)


def check_settings(kept: Mapping[str, Any] | None, folder: Path) -> None:
    """Compare `config.yaml` with the settings in the study.

    Args:
        kept: settings in the study, if any.
        folder: folder of the run.

    Raises:
        StrategyError: something is missing or differs; names it.
    """
    path = folder / "config.yaml"
    if kept is None or not path.exists():
        return
    there, began = portable.load_config(path), flat_settings(kept)
    mine = {
        name: value for name, value in flat_settings(there).items() if name.split(".")[0] in kept
    }
    wrong = [name for name in began if name not in mine]
    wrong += [name for name in mine if not _is_same(name, mine, began)]
    if not wrong:
        return
    name, more = wrong[0], f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""
    said = f"is {shown_setting(mine[name])}" if name in mine else "is missing"
    meant = (
        f"the run began with {shown_setting(began[name])}" if name in began else "the run had none"
    )
    again = "" if kept["storage"] else ", or delete the file and --resume writes it again"
    raise StrategyError(f"{path}: {name} {said}, and {meant}{more}; put it back{again}")


def read_settings(folder: Path) -> SearchConfig:
    """Settings of a run; if `config.yaml` is gone, those that its study keeps.

    Raises:
        StrategyError: `folder` is not a run, or its settings are damaged.
    """
    path, journal = folder / "config.yaml", folder / JOURNAL
    try:
        return configuration.read_search_config(folder)
    except StrategyError as error:
        kept = UnopenedStudy(journal, NAME).notes.settings if journal.is_file() else None
        if kept is None:
            raise
        if path.exists():
            raise StrategyError(
                f"{error}; delete {path} and --resume writes it again, as the run began"
            ) from None
    return configuration.build_config(portable.with_present_paths(dict(kept), folder))


def flat_settings(data: Any, name: str = "") -> dict[str, Any]:
    """Every single setting by its dotted name."""
    if not isinstance(data, dict) or not data:
        return {name: data}
    found: dict[str, Any] = {}
    for key, value in data.items():
        found |= flat_settings(value, f"{name}.{key}" if name else str(key))
    return found


def _is_same(name: str, mine: Mapping[str, Any], began: Mapping[str, Any]) -> bool:
    if name in PLACES or name.split(".")[0] in RESUMABLE:
        return True
    if name not in began:
        return False
    if name == "reference" and _is_place(mine[name]) and _is_place(began[name]):
        return True
    return json.dumps(mine[name], default=str) == json.dumps(began[name], default=str)


def _is_place(reference: Any) -> bool:
    return reference not in (None, "self")


def shown_setting(value: Any) -> str:
    """A value as short text."""
    text = yaml.safe_dump(value, default_flow_style=True).removesuffix("...\n").strip()
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."
