"""Initial strategies from earlier studies and from files."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from search.results import run as runs
from search.study.archive import ParetoArchive
from strategies import Strategy, StrategyError, load


def warm_start_strategies(sources: Iterable[str], family: str) -> list[Strategy]:
    """Strategies of run folders (their exported ones, and the search's own front) and of files.

    Args:
        sources: folders, strategy files or preset names.
        family: family of the model that is searched.

    Raises:
        StrategyError: a source has no strategies, or strategies for another family; names it.
    """
    found: dict[str, Strategy] = {}
    for source in sources:
        rows = _read_run(Path(source)) if Path(source).is_dir() else [load(source)]
        for strategy in rows:
            if strategy.family != family:
                raise StrategyError(
                    f"--warm-start {source}: strategies for family {strategy.family!r}; this "
                    f"model's is {family!r}"
                )
            found.setdefault(strategy.digest, strategy)
    return list(found.values())


def runs_among(sources: Iterable[str]) -> list[str]:
    """Sources that are folders of runs."""
    return [source for source in sources if (Path(source) / "config.yaml").exists()]


def _read_run(folder: Path) -> list[Strategy]:
    files = sorted((folder / "strategies").glob("*.json"))
    is_run = (folder / "config.yaml").exists()
    if not files and not is_run:
        raise StrategyError(
            f"--warm-start {folder}: neither a run's folder nor one with "
            "strategies/*.json; give a run's folder or strategy files"
        )
    rows = [load(file) for file in files]
    if is_run:
        rows += [
            row.strategy
            for row in ParetoArchive().read(runs.load_run(folder).study.evaluations).front
        ]
    return rows
