"""Comparison of runs: one worst point, paired intervals, and what differs is named."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest

from search import cli
from search.results import run as runs
from search.results.comparison import tables
from search.results.comparison.fronts import compare_runs
from search.results.comparison.settings import differing
from search.study import measurements
from search.study.run_notes import RunNotes
from strategies import StrategyError
from tests.search.run_folder import test_former_runs as former
from tests.support.runs.engines import make_engine, raced
from tests.support.runs.report_pages import Page

FORMER = Path(former.__file__).parent / "former_runs"


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A short and a longer search on the same held-out prompts."""
    folders = []
    for name, budget, seed in (("short", "26evals", 0), ("long", "34evals", 1)):
        folder = tmp_path_factory.mktemp(name)
        engine = make_engine(folder, budget=budget, seed=seed)
        engine.config.write(folder / "config.yaml")
        raced(engine)
        marks = {"prompts": {"search": "first", "heldout": "others"}}
        RunNotes(inputs={"marks": marks}).keep(engine.study)
        folders.append(folder)
    return folders


def test_hypervolumes_share_a_worst_point(two: list[Path]) -> None:
    found = compare_runs([runs.load_run(folder) for folder in two])
    assert found.held_out
    assert not found.relative
    own = np.array([one.worst for one in found.fronts])
    assert found.worst == tuple(own.max(0))
    for one, volume in zip(found.fronts, found.volumes, strict=True):
        assert 0 < volume.value < 1
        assert volume.low < volume.value < volume.high
        assert len(one.losses) == len(one.points) > 1
    (change,) = found.changes
    assert change.value == pytest.approx(found.volumes[1].value - found.volumes[0].value)
    spread = [volume.high - volume.low for volume in found.volumes]
    assert change.high - change.low < sum(spread)  # Paired: what both share falls out.


def test_a_run_is_no_different_from_its_copy(two: list[Path], tmp_path: Path) -> None:
    shutil.copytree(two[0], tmp_path / "copy")
    found = compare_runs([runs.load_run(two[0]), runs.load_run(tmp_path / "copy")])
    (change,) = found.changes
    assert (change.value, change.low, change.high) == (0, 0, 0)
    assert [found.dominated(one) for one in found.fronts] == [0, 0]
    assert differing([one.run for one in found.fronts]) == []


def test_what_differs_is_named(two: list[Path]) -> None:
    table = dict(differing([runs.load_run(folder) for folder in two]))
    assert table["seed"] == ["0", "1"]
    assert table["budget"] == ["26evals", "34evals"]
    assert table["evaluations"] == ["26", "34"]
    assert "images" not in table
    assert "device" not in table


def test_other_devices_are_compared_by_shares(
    two: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    both = [runs.load_run(folder) for folder in two]
    names = {id(both[0].study): "one GPU", id(both[1].study): "another GPU"}
    monkeypatch.setattr(
        measurements.Measurements, "device", property(lambda self: names.get(id(self._study)))
    )
    found = compare_runs(both)
    assert found.relative
    first, point = found.fronts[0], found.fronts[0].points[0]
    share = point.scores["latency_s"] / point.base["latency_s"]
    column = found.objectives.index("latency_s")
    assert first.losses[0, column] == pytest.approx(share)
    assert found.shown(first, point, "latency_s") == pytest.approx(share)
    assert 0 < found.worst[column] <= 1.2
    assert "different devices" in " ".join(tables.reading_notes(found))


def test_the_command(two: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = [str(folder) for folder in two]
    assert cli.main(["compare", *names, "--out", str(tmp_path / "new")]) == 0
    shown = capsys.readouterr().out
    assert two[0].name in shown
    assert "what differs" in shown
    assert "95 % intervals over held-out prompts" in " ".join(shown.split())
    picture = matplotlib.image.imread(tmp_path / "new" / "comparison.png")
    assert picture.std() > 0.05
    page = (tmp_path / "new" / "comparison.html").read_text("utf-8")
    tags = [tag for tag, _ in Page(page).tags]
    assert tags.count("svg") == 1
    assert tags.count("table") == 3
    assert "script" not in tags
    for folder in two:
        for point in runs.load_run(folder).front():
            assert f"{point.scores['speedup']:.2f}x" in page
    assert cli.main(["compare", *names, "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert [row["run"] for row in data["runs"]] == [folder.name for folder in two]
    assert data["runs"][1]["change"]["low"] < data["runs"][1]["change"]["high"]
    assert data["differ"]["seed"] == ["0", "1"]


def test_searches_that_are_not_finished_and_earlier_versions(two: list[Path]) -> None:
    unfinished, tiny = FORMER / "unfinished", FORMER / "tiny-sd"
    found = compare_runs([runs.load_run(unfinished), runs.load_run(tiny)])
    assert not found.held_out
    assert not any(volume.known for volume in found.volumes)
    assert "Some search is not finished" in " ".join(tables.reading_notes(found))
    finished = compare_runs([runs.load_run(tiny), runs.load_run(two[0])])
    assert all(volume.known for volume in finished.volumes)
    assert "not paired" in " ".join(tables.reading_notes(finished))


def test_runs_that_cannot_be_compared(two: list[Path], tmp_path: Path) -> None:
    one = runs.load_run(two[0])
    with pytest.raises(StrategyError, match="give two runs or more to compare"):
        compare_runs([one])
    with pytest.raises(StrategyError, match="is given twice; give different runs"):
        compare_runs([one, one])
    with pytest.raises(StrategyError, match="tiny-pixart; give runs of one model"):
        compare_runs([one, runs.load_run(FORMER / "tiny-pixart")])
    other = make_engine(tmp_path / "other", objectives=["psnr", "latency"])
    other.config.write(tmp_path / "other" / "config.yaml")
    with pytest.raises(StrategyError, match=r"objectives fd_base, latency_s and other psnr"):
        compare_runs([one, runs.load_run(tmp_path / "other")])
