"""Block Caching: the change curves, the schedule from them, and the command that makes both."""

from __future__ import annotations

import csv
import io
import itertools
import json
from pathlib import Path
from typing import Any

import pytest
import torch

import accel
import strategies
from accel.cli import main
from strategies import StrategyError
from strategies.methods.blockcache import BlockCache
from tests.support.pipelines.unet_pipelines import STEPS, build, draw, strategy


@pytest.mark.parametrize("model", ["sd1", "sdxl"])
def test_curves_are_the_relative_change_of_what_a_block_adds(model: str) -> None:
    pipe = build(model)
    name = "mid_block.attentions.0"
    added: list[torch.Tensor] = []
    pipe.unet.mid_block.attentions[0].register_forward_hook(
        lambda _, args, output: added.append(output[0] - args[0])
    )
    plain = draw(pipe)
    added.clear()
    curves = accel.change_curves(pipe, [lambda: draw(pipe)])
    expected = [float((b - a).abs().sum() / b.abs().sum()) for a, b in itertools.pairwise(added)]
    assert curves[name] == pytest.approx(expected, rel=1e-5)
    assert {len(curve) for curve in curves.values()} == {STEPS - 1}
    assert torch.equal(draw(pipe), plain)
    two = accel.change_curves(pipe, [lambda: draw(pipe), lambda: draw(pipe, seed=3)])
    one = accel.change_curves(pipe, [lambda: draw(pipe, seed=3)])
    assert two[name][0] == pytest.approx((curves[name][0] + one[name][0]) / 2)


def test_the_schedule_computes_once_the_change_is_too_large() -> None:
    curves = {"a": [0.1, 0.1, 0.1, 0.5, 0.1], "b": [0.9] * 5, "c": [0.01] * 5}
    found = BlockCache.from_curves(curves, 0.25).refresh
    # Block b changes too much at every call, so it is not named: it always computes.
    assert found == {"a": (0, 3, 4), "c": (0,)}
    assert BlockCache.from_curves(curves, 0.0).is_neutral()
    for delta in (-1.0, float("nan")):
        with pytest.raises(StrategyError, match="delta"):
            BlockCache.from_curves(curves, delta)


def test_a_calibrated_strategy_gets_closer_with_a_smaller_delta(pipe: Any) -> None:
    plain = draw(pipe)
    curves = accel.change_curves(pipe, [lambda: draw(pipe)])
    errors = []
    for delta in (0.05, 0.3, 5.0):
        accel.apply(pipe, strategy({"blockcache": BlockCache.from_curves(curves, delta)}))
        errors.append(float((draw(pipe) - plain).norm()))
    assert errors[0] < errors[1] < errors[2]


def test_unknown_blocks_and_calls_are_refused(pipe: Any) -> None:
    with pytest.raises(StrategyError, match=r"refresh has 'nose'.*mid_block.attentions.0"):
        accel.apply(pipe, strategy({"blockcache": {"refresh": {"nose": [0]}}}))
    with pytest.raises(StrategyError, match=r"has 6 after -1.*below 6, the number of calls"):
        strategy({"blockcache": {"refresh": {"mid_block.attentions.0": [6]}}})
    with pytest.raises(StrategyError, match=r"refresh.a has 2 after 3"):
        strategy({"blockcache": {"refresh": {"a": [3, 2]}}})


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "cached.json"
    flags = ["--prompt", "a large red circle", "--delta", "0.3", "--steps", "5", "--out", str(out)]
    told = tmp_path / "told.json"
    assert main(["calibrate", *flags, "--csv", f"--json={told}"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    found = strategies.load(out)
    assert found.steps == found.calls == 5
    refresh = found.methods["blockcache"].model_dump()["refresh"]
    assert refresh
    for name, calls in refresh.items():
        row = next(row for row in rows if row["block"] == name)
        assert row["computed"] == str(len(calls))
    whole = json.loads(told.read_text())
    assert whole["strategy"]["methods"]["blockcache"]["refresh"].keys() == refresh.keys()
    assert [row["block"] for row in whole["blocks"]] == list(whole["changes"])
    assert main(["calibrate", *flags[:-1], str(tmp_path / "new" / "x.json")]) == 0
    assert strategies.load(tmp_path / "new" / "x.json").digest == found.digest
    shown = " ".join(capsys.readouterr().out.split())
    assert "% of the passes through blocks are computed, the others reuse results" in shown
    assert f"compare it: python -m accel generate --model tiny-sd --strategy {tmp_path}" in shown
    for wrong, message in (
        (["--steps", "0"], "--steps is 0; give at least 1"),
        (["--steps", "5000"], "cannot make 5000 steps: the model was trained on 1000"),
        (["--delta", "-1"], "--delta is -1; give a number from 0 up"),
        (["--out", str(tmp_path)], "Is a directory"),
    ):
        assert main(["calibrate", *flags, *wrong]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert message in line
