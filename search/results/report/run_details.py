"""Tables of a report: status of the search, its latency table, the command to repeat it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import yaml

from search.objectives import labels as titles
from search.results.run import NO_LOSS, FrontPoint, Run, named_points
from search.results.status import search_status
from search.study import failures
from search.study.archive import ParetoArchive
from search.study.evaluation import INITIAL, strategy_kind
from search.study.measurements import Measurements
from search.study.run_notes import RunNotes

PAYS = 0.01  # Relative gain in hypervolume below which a search has found nothing that pays.


def page_summary(run: Run) -> dict[str, str]:
    """Numbers at the top of the page."""
    config = run.config
    found = {
        # The search that writes the report has not let go of its folder.
        "state": "finished" if run.finals else run.state,
        "search": f"{config.proposer}: {', '.join(map(titles.short, config.objectives))}",
        **search_status(config, run.study, ParetoArchive()).as_text(),
    }
    if not run.finals:
        return found
    points = run.front()
    found["front"] = f"{len(points)} on held-out prompts"
    passed = named_points(points).get(NO_LOSS)
    found.pop("fastest as good", None)
    found["no loss"] = f"{passed.scores['speedup']:.2f}x" if passed else "not shown of any"
    del found["hypervolume"]
    written = _written(run)
    if "hypervolume_together" in written:
        found["hypervolume, held-out"] = f"{written['hypervolume_together']:.4f}"
    if "left_out_for_budget" in written:
        found["not scored"] = f"{written['left_out_for_budget']:.0f} finalists, for the budget"
    return found


def gain_sentence(run: Run) -> str:
    """Sentences that say what the search has gained, and which kinds of points are on the front."""
    points = run.front()
    if not points:
        return "No strategy keeps the constraints."
    names = named_points(points)
    speed = {name: f"{one.scores['speedup']:.2f}x" for name, one in names.items()}
    fastest = speed["fastest"]
    if not run.finals:
        return f"So far up to {fastest}, on the search's own prompts; no loss is tested yet."
    passed = names.get(NO_LOSS)
    if passed is not None:
        gain = f"{speed[NO_LOSS]} faster without a loss on {passed.judged} held-out prompts"
    elif any(one.verdict is not None for one in points):
        gain = f"Up to {fastest} faster; for no point a loss is ruled out"
    else:
        gain = f"Up to {fastest} faster; by the metrics of this search every change is a loss"
    return f"{gain}. {_kinds(run, points)}{_beyond_baselines(_written(run))}"


def _beyond_baselines(written: Mapping[str, float]) -> str:
    """Sentence that says whether the front is better than its baselines alone."""
    together, alone = (written.get(f"hypervolume_{name}") for name in ("together", "baselines"))
    if together is None or not alone:
        return ""
    figures = f"{together:.3f} with it and {alone:.3f} without"
    if together < (1 + PAYS) * alone:
        return f" What it found adds nothing to the baselines: hypervolume {figures}."
    return f" What it found adds to the baselines: hypervolume {figures}."


def _kinds(run: Run, points: Sequence[FrontPoint]) -> str:
    """Sentence that says how many points of the front the search has found."""
    counts = Counter(strategy_kind(one.origin, one.strategy, run.config.proposer) for one in points)
    words = {
        INITIAL: ("initial strategy", "initial strategies"),
        "baseline": ("baseline", "baselines"),
    }
    others = [f"{counts[k]} {w[counts[k] > 1]}" for k, w in words.items() if counts[k]]
    found = f"{counts['found']} of {len(points)}" if counts["found"] else f"none of {len(points)}"
    rest = f"; {' and '.join(others)} are on it, too" if others and counts["found"] else ""
    if not counts["found"]:
        rest = f": on it are {' and '.join(others)}"
    return f"The search itself found {found} points of the front{rest}."


def failed_rows(run: Run) -> list[dict[str, str]]:
    """Every candidate that failed, with stage and reason."""
    return [
        {"name": one.name, "stage": failures.STAGES[one.stage], "error": one.error}
        for one in failures.failures(run.study)
    ]


def _written(run: Run) -> dict[str, float]:
    found = run.told
    if found is None:
        try:
            found = json.loads((run.folder / "summary.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
    return {key: value for key, value in found.items() if isinstance(value, int | float)}


@dataclass(frozen=True)
class LatencyRow:
    """A row of the latency table: milliseconds, and the spread as a share of them."""

    name: str
    milliseconds: float
    spread: float | None
    share: float


def latency(run: Run) -> list[LatencyRow]:
    """Latency table: the parts around the calls, then every kind of call, slowest first."""
    table = Measurements(run.study).latency_table
    if table is None:
        return []
    whole = table.kinds[""]
    rows = [LatencyRow("around the calls, per image", 1e3 * table.fixed, None, table.fixed / whole)]
    rows += [
        LatencyRow(f"{name}, per call", 1e3 * seconds, None, seconds / whole)
        for name, seconds in table.solver.items()
    ]
    kinds = sorted(table.kinds.items(), key=lambda item: -item[1])
    return rows + [
        LatencyRow(name or "unaccelerated call", 1e3 * value, table.spread.get(name), value / whole)
        for name, value in kinds
    ]


def run_setting(run: Run) -> dict[str, str]:
    """Device, model, versions."""
    config, measured = run.config, Measurements(run.study)
    model = config.model
    found = {
        "device": measured.device or "not known",
        "model": f"{model.name} ({model.source}), {model.dtype}",
        "unaccelerated": f"{model.scheduler}, {model.steps} steps, guidance {model.guidance:g}",
        "images": f"{model.height} x {model.width}; {config.images} per evaluation, "
        f"{config.heldout_images} held-out",
        "seed": str(config.seed),
        "workers": str(config.workers),
        "run": run.folder.name,
    }
    return found | measured.versions


def start_command(run: Run) -> str | None:
    """Command line that started the run, if it was kept."""
    return RunNotes.of(run.study).command


def config_rows(run: Run) -> str:
    """All settings, as in `config.yaml`; warm starts only by their number."""
    data = run.config.model_dump(mode="json")
    data["warm_start"] = f"{len(run.config.warm_start)} strategies"
    return yaml.safe_dump(data, sort_keys=False)
