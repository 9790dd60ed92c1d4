"""Whether a loss is ruled out: margins, reasons, and what few images may say."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import strategies
from evaluate.metrics import METRICS
from evaluate.statistics.bootstrap import interval
from evaluate.statistics.means import mean_of
from evaluate.verdicts import (
    ENOUGH,
    check_margins,
    fewest,
    judge_changes,
    margins_of,
    parse_margin,
)
from search import cli
from search.objectives.metric_set import MetricSet
from search.results import export
from search.results import run as runs
from search.results.report import run_details as facts
from search.results.report.render import render_page
from search.results.run import Run
from strategies import StrategyError
from tests.support.runs.fake_runs import finished
from tests.support.runs.light import lightened

SEEDS = 20
MARGINS = {"fd_real": 6.0, "right_colour": 0.02}
FINE = {"fd_real": [1.0, -2.0, 4.0], "right_colour": [0.0, -0.01, 0.01]}


def test_all_of_every_interval_within_the_margin_passes() -> None:
    found = judge_changes(FINE, MARGINS, 384)
    assert (found.answer, found.reasons) == ("yes", [])


@pytest.mark.parametrize(
    ("name", "change", "answer", "words"),
    [
        ("fd_real", [9.0, 7.0, 11.0], "no", "fd_real +9.00 (+7.00 to +11.00), margin 6: a loss"),
        ("fd_real", [5.0, 1.0, 9.0], "no", "a loss"),
        ("fd_real", [1.0, -5.0, 7.0], "not shown", "a larger loss is not ruled out"),
        ("fd_real", [-20.0, -30.0, -9.0], "yes", ""),
        ("fd_real", [3.0, 1.0, 5.0], "yes", ""),  # Worse, but within the margin.
        ("fd_real", [1.0, 1.0, 1.0], "not shown", "no width"),
        ("fd_real", [0.0, 0.0, 0.0], "yes", ""),  # All features are equal.
        ("fd_real", None, "not shown", "no interval"),
        ("right_colour", [-0.05, -0.09, -0.01], "no", "right_colour -0.050 (-0.090 to -0.010)"),
        ("right_colour", [-0.01, -0.04, 0.02], "not shown", "a larger loss is not ruled out"),
        ("right_colour", [0.05, 0.01, 0.09], "yes", ""),
        ("right_colour", [0.0, 0.0, 0.0], "not shown", "no width"),  # Of a former version.
    ],
)
def test_one_figure_decides(name: str, change: Any, answer: str, words: str) -> None:
    changes = {key: value for key, value in (FINE | {name: change}).items() if value}
    found = judge_changes(changes, MARGINS, 384)
    assert found.answer == answer
    assert words in "; ".join(found.reasons)
    assert all(name in reason for reason in found.reasons)


def test_without_margin_or_enough_images_nothing_is_shown() -> None:
    assert (
        "give --margin kd_real=VALUE"
        in judge_changes({"kd_real": [0, -1, 1]}, {"kd_real": None}, 99).reasons[0]
    )
    few = judge_changes(FINE, MARGINS, ENOUGH - 1)
    assert few.answer == "not shown"
    assert f"at least {ENOUGH} are needed" in few.reasons[0]
    lost = judge_changes(FINE | {"fd_real": [9.0, 7.0, 11.0]}, MARGINS, 8)
    assert lost.answer == "no"  # A loss can be shown by few.


def test_the_fewest_images_by_which_an_accuracy_can_pass() -> None:
    metric = METRICS["right-shape"]
    least = fewest(metric, 0.02)
    for count, answer in ((least - 1, "not shown"), (least, "yes")):
        found = interval(mean_of(np.zeros(count), (-1.0, 1.0)), count).to_json()
        verdict = judge_changes({"right_shape": found}, {"right_shape": 0.02}, count)
        assert verdict.answer == answer
    assert f"at least {least} images" in judge_changes(
        {"right_shape": [0.0, -0.04, 0.04]}, {"right_shape": 0.02}, 96
    ).reasons[0]  # fmt: skip


@settings(max_examples=30)
@given(
    st.lists(st.sampled_from([-1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0]), min_size=8, max_size=120),
    st.integers(2, 5),
    st.sampled_from([0.02, 0.05, 0.2]),
)
def test_what_passes_on_few_images_passes_on_more_alike(
    values: list[float], times: int, margin: float
) -> None:
    def answer(given: list[float]) -> str:
        found = interval(mean_of(np.array(given), (-1.0, 1.0)), len(given)).to_json()
        return judge_changes({"right_shape": found}, {"right_shape": margin}, len(given)).answer

    if answer(values) == "yes":
        assert len(values) >= ENOUGH
        assert answer(values * times) == "yes"


@pytest.mark.parametrize("bounded", [True, False])
def test_fewer_images_never_make_more_strategies_pass(bounded: bool) -> None:
    """Many strategies with and without a loss beyond the margin, scored on ever more images."""
    counts, margin = (4, 16, 64, 192, 384, 768), 0.02
    name = "right_shape" if bounded else "image_reward"
    passed = {loss: [0] * len(counts) for loss in (0.0, 0.005, 0.04, 0.1)}
    for loss, row in passed.items():
        for seed in range(SEEDS):
            rng = np.random.default_rng(seed)
            if bounded:
                values = rng.choice(
                    [-1.0, 0.0, 1.0], counts[-1], p=[0.003 + loss, 0.994 - loss, 0.003]
                )
            else:
                values = rng.normal(-loss, 0.1, counts[-1])
            for place, count in enumerate(counts):
                mean = mean_of(values[:count], (-1.0, 1.0) if bounded else None)
                found = interval(mean, count)
                changes = {name: found.to_json()} if found.known else {}
                row[place] += judge_changes(changes, {name: margin}, count).answer == "yes"
    for loss in (0.0, 0.005):
        assert passed[loss] == sorted(passed[loss]), (loss, passed)
    assert passed[0.0][-1] >= SEEDS - 1
    for loss in (0.04, 0.1):
        assert max(passed[loss]) <= 1, (loss, passed)  # By chance at most 2.5 %.
    assert all(row[:2] == [0, 0] for row in passed.values())


def test_margins_that_mean_nothing_are_refused() -> None:
    names = ["fid_self", "fid_base", "psnr", "right_shape"]
    assert parse_margin("right-shape=0.01") == ("right_shape", 0.01)
    for text in ("fid", "fid=", "fid=-1", "fid=0", "fid=nan", "=1"):
        with pytest.raises(StrategyError, match="give NAME=VALUE"):
            parse_margin(text)
    for name, words in (
        ("psnr", "every change is a loss"),
        ("fid_base", "every change"),
        ("x", "unknown score"),
    ):
        with pytest.raises(StrategyError, match=words):
            check_margins({name: 1.0}, names)
    metrics = [METRICS["fid"], METRICS["psnr"], METRICS["right-shape"]]
    found = margins_of(metrics, names, {"fid": 0.3})
    assert found == {"fid_self": 0.3, "right_shape": 0.02}


def test_which_figures_decide() -> None:
    accuracies = {
        "shapes": {f"right_{one}" for one in ("shape", "colour", "size", "position", "background")},
        "portraits": {"right_attributes"},
    }
    for subject, names in accuracies.items():
        default = MetricSet.of(["fd_base", "latency_s"], [], subject, "real")
        assert set(default.judged) == {"fd_real", *names}
    both = MetricSet.of(["kid_base", "image_reward", "latency_s"], [], None, "self")
    assert set(both.judged) == {"kid_self", "image_reward"}
    assert MetricSet.of(["psnr", "latency_s"], [], None, "self").judged == ()
    for metric in METRICS.values():  # Every figure that can be judged has a margin.
        assert (metric.margin is None) == (metric.views == ("base",)), metric.name


def test_a_report_tells_both_distances_and_adherence() -> None:
    default = MetricSet.of(["fd_base", "latency_s"], [], "shapes", "real")
    assert default.reported_scores[:2] == ["fd_base", "fd_real"]
    assert len(default.reported_scores) > 2
    assert all(name.startswith("right_") for name in default.reported_scores[2:])
    other = MetricSet.of(["kid_self", "latency_s"], ["clip_score"], None, "self")
    assert other.reported_scores == ["kid_base", "kid_self", "clip_score"]
    assert MetricSet.of(["psnr", "latency_s"], [], None, "self").reported_scores == []


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    with lightened():
        return runs.load_run(finished(tmp_path_factory.mktemp("verdicts") / "run"))


def passing(run: Run, change: Callable[[str], list[float]]) -> Run:
    """The run as if its finalists had such changes on 384 images."""
    config = run.config.model_copy(update={"heldout_images": 384})
    finals = [
        replace(
            one,
            intervals={f"{name}_change": change(name) for name in config.all_margins},
            changes={},
            images=384,
            judged=384,
            full=384,
        )
        for one in run.finals
    ]
    return Run(run.folder, config, run.study, finals)


def small(_: str) -> list[float]:
    return [0.0, -0.001, 0.001]


def test_a_run_with_few_images_shows_nothing(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert all(point.no_loss != "yes" for point in run.front())
    assert not (run.folder / "strategies" / "no-loss.json").exists()
    assert cli.main(["front", str(run.folder), "--csv"]) == 0
    rows = list(csv.DictReader(capsys.readouterr().out.splitlines()))
    assert all(row["no_loss"] in ("no", "not shown") and row["why"] for row in rows)
    assert cli.main(["front", str(run.folder)]) == 0
    assert "1, no loss" in capsys.readouterr().out
    assert cli.main(["front", str(run.folder), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["rows"][0]["verdict"]
    assert all(one["reason"] for one in told["figures"].values())
    for flag in ("--no-loss", "--lossless"):
        assert cli.main(["pick", str(run.folder), flag]) == 2
        assert "margin" in capsys.readouterr().err
    text = render_page(run)
    assert "no loss" in text
    assert all(reason.split(" ")[0] in text for p in run.front() for reason in p.verdict.reasons)  # type: ignore[union-attr]
    with (run.folder / "front.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert all(row["why"] for row in rows if row["no_loss"] in ("no", "not shown"))


def test_a_run_that_passes(run: Run, tmp_path: Path) -> None:
    good = passing(run, small)
    assert {point.no_loss for point in good.front()} == {"yes"}
    names = {path.stem for path in export.write_strategy_files(good, good.front(), tmp_path)}
    assert {"fastest", "knee", "no-loss", "lossless"} <= names
    one = strategies.load(tmp_path / "no-loss.json")
    assert one == strategies.load(tmp_path / "lossless.json")
    assert one.scores["no_loss"] == "yes"
    assert one.name == "tiny-sd-no-loss"
    assert facts.page_summary(good)["no loss"].endswith("x")
    bad = passing(run, lambda name: [9.0, 8.0, 10.0] if name == "fd_real" else small(name))
    assert {point.no_loss for point in bad.front()} == {"no"}
    assert "a loss" in render_page(bad)


def test_margins_of_a_run_can_be_changed_for_a_look(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["front", str(run.folder), "--margin", "fd=1e9"]) == 0
    assert "margin 1e+09" in capsys.readouterr().out
    assert cli.main(["front", str(run.folder), "--margin", "psnr=1"]) == 2
    assert "every change is a loss" in capsys.readouterr().err


def test_a_run_of_a_former_version_is_read(run: Run) -> None:
    """Its finalists say `lossless`, and its settings have no margins."""
    noted = run.study.noted("finals")
    rows = [row | {"lossless": True} for row in noted["rows"]]

    class Former:
        def __getattr__(self, name: str) -> Any:
            return getattr(run.study, name)

        def noted(self, key: str) -> Any:
            return noted | {"rows": rows} if key == "finals" else run.study.noted(key)

    settings_then = run.config.model_dump()
    del settings_then["margins"]
    config = type(run.config).model_validate(settings_then)
    former = Run(run.folder, config, Former())  # type: ignore[arg-type]
    assert [p.strategy.digest for p in former.front()] == [p.strategy.digest for p in run.front()]
    assert all(point.no_loss in ("no", "not shown") for point in former.front())
