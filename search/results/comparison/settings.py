"""Settings in which runs differ: space, budget, device, versions and what was spent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from search.results.run import Run
from search.results.run_settings import flat_settings, shown_setting
from search.results.status import duration
from search.study.measurements import Measurements

# Places on a disk, and settings that decide nothing about the result.
UNIMPORTANT = ("study", "storage", "track", "address", "warm_start")
ABSENT = "-"


def differing(runs: Sequence[Run]) -> list[tuple[str, list[str]]]:
    """Names in which runs differ, with the value of each run."""
    rows = [_facts(run) for run in runs]
    names = dict.fromkeys(name for row in rows for name in row)
    table = [(name, [row.get(name, ABSENT) for row in rows]) for name in names]
    return [(name, values) for name, values in table if len(set(values)) > 1]


def _facts(run: Run) -> dict[str, str]:
    measured = Measurements(run.study)
    found = {
        "state": "finished" if run.finals else run.state,
        "device": measured.device or "not known",
        "device time": duration(run.study.spent),
        "evaluations": str(len(run.study.evaluations)),
    }
    data = run.config.model_dump(mode="json", exclude=set(UNIMPORTANT))
    found |= {
        name: shown_setting(value) for name, value in flat_settings(_without_sources(data)).items()
    }
    return found | {f"version of {name}": value for name, value in measured.versions.items()}


def _without_sources(data: Mapping[str, Any]) -> dict[str, Any]:
    """Settings without the paths of the model and of its prompts, which move with a run."""
    paths = ("source", "search_prompts", "heldout_prompts")
    model = {name: value for name, value in data["model"].items() if name not in paths}
    return {**data, "model": model}
