"""Scoring end to end: any model, prompts, references, resume, determinism, speed, bad input."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import evaluate
import strategies
from accel.models.resolve import resolve_model
from evaluate import Evaluator, cli, read_model
from evaluate.images import generation, prompts
from evaluate.images.image_files import read_image as read_image
from evaluate.images.image_store import ImageStore
from evaluate.metrics import METRICS
from evaluate.networks.weight_files import VARIABLE
from evaluate.speed import latency_measurement
from strategies import StrategyError
from tests.support.paths import ROOT
from tests.support.pipelines.unet_pipelines import strategy
from tests.support.scored_folders import CACHED, QUICK, begun, fails, forked, run
from zoo import untrained


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(VARIABLE, str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_any_folder_is_scored_against_itself(
    folder: Path, tmp_path: Path, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    strategies.save(strategy(CACHED, 4), tmp_path / "one.json")
    found, rows = tmp_path / "found.json", tmp_path / "rows.csv"
    shown = run(
        capsys, "--model", str(folder), "--strategy", str(tmp_path / "one.json"), *QUICK,
        "--base-scheduler", "DDIMScheduler", "--base-steps", "4", "--size", "32", "--throughput",
        "2", "--calls", f"--json={found}", f"--csv={rows}",
    )  # fmt: skip
    assert "PSNR" in shown
    assert "deepcache.depth=1" in shown
    assert "not scored: fid: weights missing" in shown
    document = json.loads(found.read_text())
    plain, mine = document["rows"]
    assert plain["psnr"] == 99.0
    assert plain["speedup"] == 1
    assert 5 < mine["psnr"] < 99
    assert 0 < mine["ssim"] < 1
    assert "psnr" not in mine["intervals"]  # Three images have none.
    assert mine["macs"] < plain["macs"]
    assert mine["throughput"] > 0
    assert mine["memory_bytes"] > 0
    assert [kind["name"] for kind in mine["kinds"]] == ["first", "deepcache.depth=1", "full"]
    assert sum(kind["calls"] * kind["macs"] for kind in mine["kinds"]) == mine["macs"]
    total = mine["outside_s"] + sum(k["calls"] * k["seconds"] for k in mine["kinds"])
    assert mine["latency_sum_s"] == pytest.approx(total)
    for key in ("device", "clock_mhz", "dtype", "resolution", "attention", "threads", "versions"):
        assert key in document["setting"]
    with rows.open() as file:
        table = list(csv.DictReader(file))
    assert float(table[1]["psnr"]) == pytest.approx(mine["psnr"])
    assert "psnr_low" not in table[1]
    assert list((cache / "unfinished").iterdir()) == []


@pytest.mark.parametrize("name", ["dit", "pixart", "sd3", "flux"])
def test_every_family_is_scored(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pipe = untrained.load_untrained(name)
    pipe.save_pretrained(tmp_path / name)
    found = tmp_path / "found.json"
    arguments = ["--model", str(tmp_path / name), *QUICK, "--base-steps", "2", "--images", "2"]
    arguments += ["--size", "64"] if name == "flux" else []  # Its own size is the largest by far.
    run(capsys, *arguments, "--metrics", "psnr", f"--json={found}")
    (row,) = json.loads(found.read_text())["rows"]
    assert row["psnr"] == 99.0
    assert row["macs"] > 0


def test_in_python_with_a_folder_and_its_own_reference(folder: Path, tmp_path: Path) -> None:
    pipe, config = resolve_model(
        str(folder), "cpu", changes={"steps": 4, "height": 32, "width": 32,
                                     "scheduler": "DDIMScheduler"},
    )  # fmt: skip
    found = evaluate.evaluate(pipe, strategy(CACHED, 4), images=3, metrics=["psnr"], config=config)
    assert found["psnr"] < found["baseline"]["psnr"] == 99.0
    with pytest.raises(StrategyError, match="only knows the images of tiny-sd, tiny-pixart"):
        evaluate.evaluate(pipe, strategy(CACHED, 4), images=2, metrics=["fd"], config=config)
    with pytest.raises(StrategyError, match=r"inception-2015-12-05\.pt"):
        evaluate.evaluate(pipe, strategy(CACHED, 4), images=2, metrics=["fid"], config=config)


def test_fid_of_a_folder_against_itself_and_against_images(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str], tmp_path_factory: pytest.TempPathFactory,
) -> None:  # fmt: skip
    from evaluate.networks import Networks
    from evaluate.statistics.distances import (
        frechet_from_features,  # tests/evaluate/metrics/test_metrics.py has clean-fid's.
    )
    from tests.support.weight_writers import provide

    provide("inception", tmp_path_factory.mktemp("cache"), monkeypatch)
    strategies.save(strategy(CACHED, 4), tmp_path / "one.json")
    out, found = tmp_path / "images", tmp_path / "found.json"
    arguments = [
        "--model", str(folder), "--strategy", str(tmp_path / "one.json"), "--images", "4",
        "--repeats", "0", "--base-scheduler", "DDIMScheduler", "--base-steps", "4", "--size", "32",
        "--metrics", "fid,kid", "--out", str(out), f"--json={found}",
    ]  # fmt: skip
    run(capsys, *arguments, "--reference", "self", "--reference-images", "6")
    document = json.loads(found.read_text())
    assert list(document["references"]) == ["self"]
    one = next(p for p in out.iterdir() if p.name.startswith(strategy(CACHED, 4).digest[:12]))
    plain = next(p for p in out.iterdir() if p != one)
    assert len(list(one.iterdir())) == 4
    assert len(list(plain.iterdir())) == 4 + 6

    def features(place: Path, start: int) -> Any:
        seeds = {s: i for i, s in enumerate(_names(start))}
        paths = sorted((p for p in place.iterdir() if p.name in seeds), key=lambda p: p.name)
        return Networks().extract("inception", [read_image(p) for p in paths]).astype(float)

    mine, reference = features(one, 2), features(plain, 3)
    assert document["rows"][1]["fid_self"] == pytest.approx(
        frechet_from_features(mine, reference), rel=1e-5
    )
    run(capsys, *arguments, "--reference", str(plain))
    document = json.loads(found.read_text())
    assert list(document["references"]) == ["real"]
    assert "10 images" in document["references"]["real"]
    assert document["rows"][1]["fid_base"] > 0
    assert "fid_real_change" in document["rows"][1]["intervals"]


def _names(seed: int) -> list[str]:
    from evaluate.images.image_store import paths_of

    chosen = prompts.load_prompts("imagenet", seed).first(6)
    return [path.name for path in paths_of(Path(), chosen)]


def test_a_run_that_was_stopped_goes_on(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    drawn: list[int] = []
    real = generation.run_pipeline

    def counted(pipe: Any, config: Any, one: Any, chosen: Any) -> Any:
        if len(drawn) == 2:
            drawn.append(0)
            raise KeyboardInterrupt
        drawn.append(len(chosen.texts))
        return real(pipe, config, one, chosen)

    monkeypatch.setattr(generation, "run_pipeline", counted)
    found = tmp_path / "found.json"
    arguments = [
        "--model", str(folder), "--images", "5", "--batch", "2", "--repeats", "0",
        "--base-steps", "2", "--size", "32", "--metrics", "psnr", f"--json={found}",
    ]  # fmt: skip
    assert cli.main(arguments) == 130
    assert "continues" in capsys.readouterr().err
    run(capsys, *arguments)
    assert drawn == [2, 2, 0, 1]


@pytest.mark.parametrize("worker", [forked, pytest.param(begun, marks=pytest.mark.slow)])
def test_features_do_not_depend_on_batch_worker_or_order(
    worker: Callable[[Path, Path], None], tmp_path: Path
) -> None:
    """The documented tolerance: a level of eight bits here and there, 1 % of a feature's spread.

    A worker that is begun imports everything again; by default it is a fork that loads the model.
    """
    one = strategy(CACHED, 4)
    evaluator = Evaluator(read_model("tiny-sd"))
    chosen = evaluator.prompts["heldout"].first(4)

    def features(batch: int, part: prompts.Prompts) -> Any:
        evaluator.config = evaluator.config.model_copy(update={"batch": batch})
        return evaluator.generate("images", one, part).features("bundled")

    whole = features(4, chosen)
    strategies.save(one, tmp_path / "one.json")
    worker(tmp_path / "one.json", tmp_path)
    halves = np.concatenate([np.load(tmp_path / f"{first}.npy") for first in (0, 2)])
    backwards = features(3, chosen.at(range(3, -1, -1)))[::-1]
    tolerance = 0.01 * whole.std(0)
    for other in (features(1, chosen), features(3, chosen), halves, backwards):
        assert (np.abs(whole - other) <= tolerance).all()
    assert (np.abs(whole[0] - whole[1]) > 10 * tolerance).any()


def test_the_unaccelerated_strategy_is_found_once_for_a_solver_and_steps(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    real = latency_measurement.unaccelerated_strategy

    def counted(pipe: Any, solver: str, steps: int) -> Any:
        asked.append(steps)
        return real(pipe, solver, steps)

    monkeypatch.setattr(latency_measurement, "unaccelerated_strategy", counted)
    pipe, config = resolve_model(str(folder), "cpu", changes={"steps": 4})
    evaluator = Evaluator(config, "cpu", pipe)
    assert evaluator.unaccelerated == evaluator.unaccelerated
    evaluator.config = config.model_copy(update={"steps": 3})
    assert evaluator.unaccelerated.steps == 3
    assert asked == [4, 3]


def test_speed_without_weights(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bare = tmp_path / "bare"
    for path in folder.rglob("*"):
        if path.is_file() and path.suffix not in (".safetensors", ".bin"):
            target = bare / path.relative_to(folder)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
    arguments = ["--model", str(bare), "--base-steps", "3", "--size", "32", "--repeats", "2"]
    assert "cannot load" in fails(capsys, *arguments)
    # Standard output holds the comparison alone.
    document = json.loads(run(capsys, *arguments, "--random-weights", "--json"))
    assert document["rows"][0]["latency_s"] > 0
    assert "psnr" not in document["rows"][0]
    shown = fails(capsys, *arguments, "--random-weights", "--metrics", "psnr")
    assert "has no quality" in shown
    (bare / "unet" / "config.json").unlink()
    assert "component unet" in fails(capsys, *arguments, "--random-weights")


def test_nothing_that_makes_an_image_is_left_out_of_its_place(tmp_path: Path) -> None:
    """Images of another strategy, model or setting are never taken for these."""
    config = read_model("tiny-sd")
    one, other = strategy(CACHED, 4), strategy({}, 4)
    places = [
        ImageStore(tmp_path, "a").folder_of(config, one, "cpu"),
        ImageStore(tmp_path, "b").folder_of(config, one, "cpu"),
        ImageStore(tmp_path, "a").folder_of(config, other, "cpu"),
        ImageStore(tmp_path, "a").folder_of(config, one, "cuda:0"),
    ]
    for change in (
        {"guidance": 2.0},
        {"height": 64},
        {"dtype": "float16"},
        {"arguments": {"x": 1}},
    ):
        places.append(
            ImageStore(tmp_path, "a").folder_of(config.model_copy(update=change), one, "cpu")
        )
    assert len(set(places)) == len(places)
    wider = config.model_copy(update={"batch": 3})
    assert ImageStore(tmp_path, "a").folder_of(wider, one, "cpu") == places[0]


def test_every_metric_is_in_the_docs() -> None:
    text = (ROOT / "docs" / "scoring.md").read_text()
    for name, metric in METRICS.items():
        if not name.startswith("right"):
            assert f"`{name}`" in text
            papers = [part.split(",")[0] for part in metric.paper.split(" and ")]
            assert all(paper in text for paper in papers), papers
