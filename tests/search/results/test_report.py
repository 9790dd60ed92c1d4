"""report.html: one file with everything in it, and what it says is what was scored."""

from __future__ import annotations

import base64
import io
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from evaluate.images.thumbnails import SIDE, encode_thumbnail
from search import cli
from search.results import command_line as repeating
from search.results import gallery, report
from search.results import run as runs
from search.results.report import entries, heatmaps, run_details
from search.results.report import gallery_data as pictures
from search.results.report.importance import importance
from search.results.run import Run
from search.study import run_lock as lock
from search.study.evaluation import strategy_kind
from tests.support.runs import fake_runs as made
from tests.support.runs import report_pages
from tests.support.runs.engines import make_engine
from tests.support.runs.fake_executor import FakeExecutor, image
from tests.support.runs.report_pages import page


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made.finished(tmp_path_factory.mktemp("done") / "run")


def test_a_search_writes_it_self_contained(done: Path) -> None:
    found = page(done)
    assert (done / report.FILE).stat().st_size < 12e6
    for tag, attributes in found.tags:
        assert tag not in ("iframe", "object", "embed", "base")
        for name in ("src", "href", "srcset", "action", "poster"):
            given = attributes.get(name)
            assert given is None or given.startswith("data:"), (tag, name, given)
    metas = [a for tag, a in found.tags if tag == "meta" and "http-equiv" in a]
    assert str(metas[0]["content"]).startswith("default-src 'none'")
    # One copy of the library, and nothing else of the page that names a server.
    assert sum("plotly.js v" in text for text in found.scripts.values()) == 1
    ours = [text for text in found.scripts.values() if "plotly.js v" not in text]
    assert not [text for text in ours if re.search(r"https?://(?!www\.w3\.org/2000/svg)", text)]


def test_it_shows_what_was_scored(done: Path) -> None:
    run, data = runs.load_run(done), page(done).data
    rows = {row["key"]: row for row in data["strategies"]}
    finals = {final.strategy.digest: final for final in run.finals if final.role != "unaccelerated"}
    assert rows.keys() == finals.keys() | {"unaccelerated"}
    front = [row for row in data["strategies"] if row["front"]]
    assert [row["key"] for row in front] == [point.strategy.digest for point in run.front()]
    files = sorted((done / "strategies").glob("[0-9]*.json"))
    assert [row["file"] for row in front] == [path.read_text() for path in files]
    assert [f"{row['name']}.json" for row in front] == [path.name for path in files]
    first, second = data["panels"]
    assert first["x"]["title"] == "latency of one image, ms"
    assert (first["y"]["title"], second["y"]["title"]) == (
        "FD to the unaccelerated images", "FD to the reference",
    )  # fmt: skip
    for point in second["points"]:
        if point["key"] in finals:
            scores = finals[point["key"]].scores
            assert 10 ** point["x"] == pytest.approx(1e3 * scores["latency_s"])
            assert point["y"] == scores["fd_real"]
    groups = {point["group"] for point in first["points"]}
    assert {"unaccelerated", "found", "fewer steps"} <= groups
    assert data["growth"]["search"]["volumes"][-1] == max(data["growth"]["search"]["volumes"])


def test_the_gallery_is_of_the_final_scoring(tmp_path: Path) -> None:
    executor = FakeExecutor()
    engine = make_engine(tmp_path, executor, budget="50evals")
    engine.config.write(tmp_path / "config.yaml")
    engine.prepare()
    engine.evaluate()
    assert not (tmp_path / gallery.NAME).exists()
    result = engine.finish()
    finals = result.finals
    kept = {path.name for path in (tmp_path / gallery.NAME).iterdir() if path.is_dir()}
    assert kept == {final.strategy.digest for final in finals}
    plain = engine.unaccelerated.digest  # Drawn in parts.
    assert {n for (digest, _), n in executor.seen.items() if digest != plain} == {1}
    for final in finals:
        for index in range(gallery.COUNT):
            path = tmp_path / gallery.NAME / final.strategy.digest / f"{index:05d}.png"
            assert np.array_equal(np.array(Image.open(path)), image(final.strategy, index))
    engine.export(result)
    shown = page(tmp_path).data["gallery"]
    assert [row["seed"] for row in shown["prompts"]] == [2_000_006 + i for i in range(6)]
    base = shown["strategies"]["unaccelerated"]["images"]
    one = next(final for final in finals if final.role == "front")
    mine = shown["strategies"][one.strategy.digest]
    for index in range(gallery.COUNT):
        there, here = pixels(base[index]), pixels(mine["images"][index])
        assert np.array_equal(here, image(one.strategy, index))
        apart = np.abs(here.astype(int) - there) * shown["amplified"]
        assert np.array_equal(pixels(mine["differences"][index]), apart.clip(0, 255))


def pixels(uri: str) -> Any:
    content = base64.b64decode(uri.removeprefix("data:image/webp;base64,"))
    return np.array(Image.open(io.BytesIO(content)))


def test_thumbnails_are_lossless_and_not_large() -> None:
    rng = np.random.default_rng(0)
    small = rng.integers(0, 256, (20, 30, 3)).astype(np.uint8)
    assert np.array_equal(np.array(Image.open(io.BytesIO(encode_thumbnail(small)))), small)
    wide = np.zeros((SIDE, 4 * SIDE, 3), np.uint8)
    assert Image.open(io.BytesIO(encode_thumbnail(wide))).size == (SIDE, SIDE // 4)


def test_too_many_images_are_left_out_and_counted(
    done: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    whole = page(done).data["gallery"]
    assert whole["left_out"] == 0
    monkeypatch.setattr(pictures, "ROOM", 20_000)
    report.write(runs.load_run(done), tmp_path)
    less = page(tmp_path).data["gallery"]
    assert less["left_out"] == len(whole["strategies"]) - len(less["strategies"]) > 0
    assert "are left out for the size" in (tmp_path / report.FILE).read_text()


def test_unfinished_and_older_runs_have_a_report(
    done: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stopped = made.interrupted(tmp_path / "stopped")
    assert cli.main(["report", str(stopped)]) == 0
    assert capsys.readouterr().out.strip() == str(stopped / report.FILE)
    text = (stopped / report.FILE).read_text()
    assert "This search is interrupted" in text
    assert "No images yet" in text
    old = shutil.copytree(done, tmp_path / "old")
    shutil.rmtree(old / gallery.NAME)
    assert cli.main(["report", str(old), "--out", str(tmp_path / "there")]) == 0
    assert "This run has no gallery" in (tmp_path / "there" / report.FILE).read_text()
    path = next(iter((done / gallery.NAME).glob("*/00002.png")))
    broken = shutil.copytree(done, tmp_path / "broken")
    (broken / path.relative_to(done)).write_bytes(b"no image")
    assert cli.main(["report", str(broken)]) == 0
    strips = page(broken).data["gallery"]["strategies"].values()
    assert [uri is None for row in strips for uri in row["images"]].count(True) == 1


def test_what_a_search_writes_itself_says_that_it_is_finished(done: Path, tmp_path: Path) -> None:
    with lock.writing(done):
        report.write(runs.load_run(done), tmp_path)
    found = (tmp_path / report.FILE).read_text()
    assert "<dt>state</dt><dd>finished</dd>" in found


@pytest.mark.parametrize(
    "flags",
    [
        {"constraints": {"min-speedup": 1000.0}},
        {"objectives": ("fd_base", "latency_s", "psnr")},
        {"objectives": ("latency_s", "feature_error")},
    ],
)
def test_other_searches_have_a_report(tmp_path: Path, flags: dict[str, Any]) -> None:
    engine = make_engine(tmp_path, budget="8evals", **flags)
    engine.config.write(tmp_path / "config.yaml")
    engine.prepare()
    engine.evaluate()
    engine.export(engine.finish())
    found, front = page(tmp_path).data, runs.load_run(tmp_path).front()
    assert len([row for row in found["strategies"] if row["front"]]) == len(front)
    assert bool(front) == ("constraints" not in flags)
    for panel in found["panels"]:
        assert len(panel["points"]) == len(found["strategies"])
        assert panel["x"]["ticks"]


def test_nothing_given_becomes_part_of_the_page(done: Path, tmp_path: Path) -> None:
    bad = page(report_pages.evil(done, tmp_path))
    assert [tag for tag, _ in bad.tags] == [tag for tag, _ in page(done).tags]
    assert bad.data["gallery"]["prompts"][0]["text"] == report_pages.EVIL


def test_importance_finds_the_knob_that_matters(done: Path) -> None:
    found = importance(runs.load_run(done))
    assert found is not None
    assert found.quality == "fd_base"
    assert found.trusted
    # The made-up damage is done by shallow calls and by few steps, and by no solver.
    totals = {row.name: row.total for row in found.rows}
    assert max(totals, key=lambda name: totals[name]) in ("steps", "deepcache: depth")
    assert totals["solver"] < 0.2 * max(totals.values())
    assert len(next(row for row in found.rows if row.name == "deepcache: depth").values) == 12


def test_importance_of_few_evaluations_is_not_guessed(tmp_path: Path) -> None:
    engine = make_engine(tmp_path, budget="12evals")
    engine.config.write(tmp_path / "config.yaml")
    engine.prepare()
    engine.evaluate()
    found = importance(Run(tmp_path, engine.config, engine.study))
    assert found is not None
    assert (found.rows, found.evaluations) == ((), 12)
    report.write(runs.load_run(tmp_path), tmp_path)
    assert "Too few evaluations on 16 images to say: 12, of 30" in (
        (tmp_path / report.FILE).read_text()
    )


def test_the_command_is_kept_without_its_folder_and_passwords() -> None:
    given = ["--budget", "5m", "--out", "x", "--sto=postgresql://me:pw@host/db", "--steps", "6-8"]
    assert repeating.search_command(given) == "python -m search --budget 5m --steps 6-8"
    given = ["--storage", "postgresql://me:pw@host/db", "--prompts", "a b.txt"]
    assert repeating.search_command(given) == "python -m search --prompts 'a b.txt'"


def test_a_search_keeps_its_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--budget", "3evals", "--out", str(tmp_path / "run")]
    assert made.search(monkeypatch, FakeExecutor(), *flags) == 0
    assert made.search(monkeypatch, FakeExecutor(), "--resume", str(tmp_path / "run")) == 0
    found = (tmp_path / "run" / report.FILE).read_text()
    command = " ".join(["python -m search", *made.SMALL, "--budget 3evals"])
    assert f"<pre>{command}</pre>" in found


def test_the_headline_says_what_was_gained(done: Path) -> None:
    run = runs.load_run(done)
    said = run_details.gain_sentence(run)
    kinds = [strategy_kind(one.origin, one.strategy, run.config.proposer) for one in run.front()]
    passed = runs.named_points(run.front()).get(runs.NO_LOSS)
    if passed is None:
        assert said.startswith(
            f"Up to {run.front()[0].scores['speedup']:.2f}x faster; for no point"
        )
    else:
        assert said.startswith(f"{passed.scores['speedup']:.2f}x faster without a loss on ")
    count = kinds.count("found") or "none"
    assert f"The search itself found {count} of {len(kinds)} points of the front" in said
    text = (done / report.FILE).read_text("utf-8")
    assert f'<p class="gain">{said}</p>' in text
    assert text.count('<td data-label="kind">') == len(page(done).data["strategies"])


@pytest.mark.parametrize(("together", "said"), [(0.504, "adds nothing to"), (0.6, "adds to")])
def test_the_headline_says_whether_anything_pays(done: Path, together: float, said: str) -> None:
    told = {"hypervolume_baselines": 0.5, "hypervolume_together": together}
    run = replace(runs.load_run(done), told=told)
    text = run_details.gain_sentence(run)
    assert text.endswith(
        f"What it found {said} the baselines: hypervolume {together:.3f} with it and 0.500 without."
    )


def test_the_headline_of_a_search_whose_seeds_are_its_front(done: Path) -> None:
    """It does not call strategies found that nothing has proposed."""
    run = runs.load_run(done)
    changed = [replace(one, origin="combined") for one in run.finals]
    said = run_details.gain_sentence(replace(run, scored=changed))
    assert "The search itself found none of" in said
    assert "points of the front: on it are" in said


def test_grey_is_an_unaccelerated_call_in_every_map(done: Path) -> None:
    times, *others = heatmaps.schedules(
        runs.load_run(done), entries.collect_entries(runs.load_run(done))
    )
    for strip in times.strips:
        for cell in strip.cells:
            assert (cell.shade == heatmaps.IDLE) == ("100%" in cell.words), cell
    assert times.legend[0].shade == heatmaps.shade(1)
    for shown in (times, *others):
        greys = [cell.words for cell in shown.legend if cell.shade == heatmaps.IDLE]
        assert len(greys) == 1, shown.title
