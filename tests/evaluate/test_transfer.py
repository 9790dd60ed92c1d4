"""Strategies on models, solvers and sizes that they were not made for."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluate import cli
from strategies import Strategy, StrategyError, load, save
from strategies.transfer import Target, transfer
from tests.support.pipelines.transformer_pipelines import build as transformer
from tests.support.pipelines.unet_pipelines import build

SDXL = Target("xl", "unet", "EulerDiscreteScheduler", 30, 30, 9)
PIXART = Target("pixart", "dit", "DPMSolverMultistepScheduler", 20, 20)


def made(methods: dict[str, Any], calls: int = 6, **more: Any) -> Strategy:
    fields = {"name": "one", "family": "unet", "scheduler": "DDIMScheduler", "methods": methods}
    return Strategy.create(**fields, steps=calls, calls=calls, **more)


def test_depths_keep_their_share_of_the_skip_levels() -> None:
    depths = ["full", 0, 1, 4, 8, 12]
    same = Target("six", "unet", "DDIMScheduler", 6, 6, 9)
    moved, notes = transfer(made({"deepcache": {"depth": depths, "order": 1}}), same)
    knobs = moved.methods["deepcache"]
    assert knobs.model_dump()["depth"] == ("full", 0, 1, 3, 6, 9)
    assert knobs.model_dump()["order"] == (1,) * 6
    assert notes == ["depths of 12 skip levels became depths of 9"]
    told = made({"deepcache": {"depth": ["full", 3]}}, 2, provenance={"skip_levels": 9})
    two = Target("two", "unet", "DDIMScheduler", 2, 2, 9)
    assert transfer(told, two)[1] == []
    assert transfer(told, two, 3)[0].methods["deepcache"].model_dump()["depth"] == ("full", 9)


@given(st.integers(1, 40), st.integers(1, 12), st.integers(1, 20), st.integers(1, 60))
def test_moved_strategies_fit_their_target(own: int, depth: int, levels: int, calls: int) -> None:
    one = made({"deepcache": {"depth": ["full", *[min(depth, own)] * 5]}})
    target = Target("x", "unet", "DDIMScheduler", calls, calls, levels)
    try:
        moved, _ = transfer(one, target, own)
    except StrategyError:
        assert calls == 1  # Nothing is reused in a single call.
        return
    assert (moved.calls, moved.steps) == (calls, calls)
    assert all(d == "full" or 1 <= d <= levels for d in moved.depths or ())


def test_calls_solver_and_provenance_are_the_targets() -> None:
    one = load("dato-b1").model_copy(update={"scores": {"fid": 1.0}})
    moved, notes = transfer(one, SDXL)
    assert (moved.scheduler, moved.steps, moved.calls) == ("EulerDiscreteScheduler", 30, 30)
    assert set(moved.methods) == {"dato", "deepcache"}
    assert moved.scores == moved.baseline == {}
    assert moved.provenance["transferred_from"]["digest"] == one.digest
    assert moved.provenance["notes"] == notes
    assert "became depths of 9" in notes[0]


def test_on_a_transformer_full_calls_stay_full_calls() -> None:
    depths = ["full", 1, 0, "full", 12, 1]
    one = made({"deepcache": {"depth": depths, "order": 1}, "tome": {"ratio": 0.5}})
    moved, notes = transfer(one, Target("pixart", "dit", "DDIMScheduler", 6, 6))
    assert moved.family == "dit"
    assert set(moved.methods) == {"fora"}
    knobs = moved.methods["fora"].model_dump()
    assert knobs["attn"] == knobs["mlp"] == knobs["cross"]
    assert knobs["attn"] == (True, False, False, True, False, False)
    assert knobs["order"] == (1,) * 6
    assert any(note.startswith("deepcache became fora") for note in notes)
    assert any("tome left out" in note for note in notes)


def test_what_has_no_meaning_there_is_refused() -> None:
    with pytest.raises(StrategyError, match=r"nothing of tome-0\.5 .* on pixart .*tome left out"):
        transfer(load("tome-0.5"), PIXART)
    with pytest.raises(StrategyError, match="nothing of fora-n3"):
        transfer(load("fora-n3"), SDXL)
    with pytest.raises(StrategyError, match="no method that does something"):
        transfer(made({}), SDXL)
    wrong = made({"deepcache": {"depth": ["full", 1]}}, 2, provenance={"skip_levels": "many"})
    with pytest.raises(StrategyError, match="skip_levels is 'many'"):
        transfer(wrong, SDXL)


def run(folder: Path, *words: Any, table: str = "") -> tuple[int, Path]:
    found = folder / "found.json"
    given = ["transfer", *map(str, words), "--images", "4", "--metrics", "psnr", "--repeats", "1"]
    given += ["--batch", "3", "--device", "cpu", f"--json={found}"]
    return cli.main([*given, f"--csv{table}"]), found


def test_the_command_scores_beside_fewer_steps_of_the_same_latency(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STRATAGEM_CACHE", str(tmp_path / "cache"))
    build("sdxl").save_pretrained(tmp_path / "xl")
    own = tmp_path / "own.json"
    depth = ["full", 12, 1, "full", 1, 0]
    strange = {"scores": {"speedup": 2.5, "psnr": 31.4, "intervals": "none"}}
    scored: dict[str, Any] = {"provenance": {"model": "tiny-sd"}, **strange}
    save(made({"deepcache": {"depth": depth}}, **scored), own)
    words = [own, "deepcache-n3", "--to", tmp_path / "xl", "--size", 32, "--base-steps", 5]
    solver = ["--base-scheduler", "DPMSolverMultistepScheduler"]
    code, found = run(tmp_path, *words, *solver, table=f"={tmp_path / 'found.csv'}")
    assert code == 0
    document = json.loads(found.read_text())
    rows = {row["name"]: row for row in document["rows"]}
    assert document["setting"]["model"] == "xl"
    for name in ("own", "deepcache-n3"):
        row = rows[name]
        assert (row["scheduler"], row["steps"]) == ("DPMSolverMultistepScheduler", 5)
        baseline = rows[row["baseline"]]
        assert baseline["scheduler"] == "DPMSolverMultistepScheduler"
        assert baseline["steps"] <= 5
        assert row["baseline_changes"]["psnr"][0] == pytest.approx(
            row["psnr"] - baseline["psnr"], abs=1e-6
        )
        assert row["macs"] < rows["unaccelerated"]["macs"]
        assert row["notes"] == ["depths of 12 skip levels became depths of 6"]
    assert rows["own"]["source"]["scores"] == strange["scores"]
    table = list(csv.DictReader((tmp_path / "found.csv").open()))
    assert "psnr_baseline_change_low" in table[0]
    # The former names of these fields and columns, until the next release.
    for name in ("own", "deepcache-n3"):
        assert rows[name]["rival"] == rows[name]["baseline"]
        assert rows[name]["beside_rival"] == rows[name]["baseline_changes"]
    assert table[1]["psnr_beside_rival_low"] == table[1]["psnr_baseline_change_low"] != ""
    shown = capsys.readouterr().out
    for said in (
        "gains: compared with fewer steps of equal cost",
        "2.50x",
        "not in the file",
        "tiny-sd 6 DDIM",
        "31.4",
    ):
        assert said in shown


def test_a_strategy_of_a_unet_on_a_transformer(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STRATAGEM_CACHE", str(tmp_path / "cache"))
    transformer("dit").save_pretrained(tmp_path / "dit")
    words = ["--to", tmp_path / "dit", "--base-steps", 4]
    code, found = run(tmp_path, "deepcache-n3", *words, "--equal", "macs")
    assert code == 0
    rows = json.loads(found.read_text())["rows"]
    printed = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [one["name"] for one in printed] == [row["name"] for row in rows]
    (row,) = [r for r in rows if "source" in r]
    # Of 4 calls one in three is full, which is one.
    assert row["baseline"] == "1 step"
    baseline = next(r for r in rows if r["name"] == "1 step")
    assert abs(baseline["macs"] - row["macs"]) <= baseline["macs"] / 2  # Half a step.
    assert "deepcache became fora" in row["notes"][0]
    for bad, said in (
        (["tome-0.5", *words], "nothing of tome-0.5"),
        (["tome-0.3", "tome-0.5", *words], "nothing of tome-0.3"),
        (["deepcache-n3", "deepcache-n3", *words], "give each once"),
        (["deepcache-n3", *words, "--skip-levels", "0"], "at least 1"),
        (["deepcache-n3", "--to", "sd99"], "'sd99' is unknown"),
    ):
        capsys.readouterr()
        assert run(tmp_path, *bad)[0] == 2
        (line,) = capsys.readouterr().err.strip().splitlines()
        assert said in line
