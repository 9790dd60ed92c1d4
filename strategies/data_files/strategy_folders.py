"""Strategy file that stands for a folder: the knee of a run, or the only file of a pulled one."""

from __future__ import annotations

from pathlib import Path

from strategies.errors import StrategyError
from strategies.text import cut

KNEE = "knee.json"
PIPELINE = "model_index.json"  # In every folder in diffusers format.


def strategy_file(folder: Path) -> Path:
    """File of a run's knee, or the strategy of a folder that was pulled from the hub.

    Raises:
        StrategyError: the run has no knee yet, or the folder holds a pipeline, no strategy or
            several.
    """
    if (folder / PIPELINE).is_file():
        raise StrategyError(
            f"{folder}: the folder of a pipeline, not of a strategy; give a preset's name, a "
            "strategy file or a run's folder"
        )
    inside = folder / "strategies"
    run = (folder / "config.yaml").is_file() or inside.is_dir()
    found = sorted((inside if run else folder).glob("*.json"))
    for path in found:
        if path.name == KNEE or (len(found) == 1 and not run):
            return path
    if run:
        raise StrategyError(
            f"{folder}: this run has no knee yet; finish it by python -m search --resume {folder}, "
            f"or write its front so far by python -m search export {folder}"
        )
    if not found:
        raise StrategyError(
            f"{folder}: a folder without strategies; give a strategy file, a run's "
            "folder or a folder that python -m strategies pull has written"
        )
    names = cut(", ".join(path.name for path in found))
    raise StrategyError(f"{folder}: holds {len(found)} strategies; give one of them: {names}")
