"""The command lines on the bundled model: a small real search, resume after kill -9, bad input."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

import accel
import strategies
import zoo
from evaluate import Evaluator, evaluate, read_model
from evaluate import cli as evaluate_cli
from search import cli, config
from search.study.study import Study
from tests.support.pipelines.unet_pipelines import strategy

pytestmark = pytest.mark.usefixtures("few_turns")
SMALL = ["--workers", "0", "--images", "2", "--heldout-images", "2", "--export", "2"]
FAST = ["--schedulers", "DDIMScheduler,DPMSolverMultistepScheduler", "--steps", "4,6"]


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "search", *SMALL, *FAST, *arguments]


def few_choices(folder: Path) -> list[str]:
    """Flags of a space that is measured in a few calls."""
    space = folder / "space.yaml"
    knobs = {"deepcache.depth": ["full", 1], "tome.ratio": [0.0, 0.5]}
    solvers = ["DDIMScheduler", "DPMSolverMultistepScheduler"]
    space.write_text(yaml.safe_dump({"schedulers": solvers, "steps": [2, 3], "knobs": knobs}))
    return ["--base-steps", "4", "--space", str(space)]


def test_a_small_real_search(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "run"
    few = [*few_choices(tmp_path), "--budget", "5evals"]
    assert cli.main([*SMALL, *few, "--out", str(run)]) == 0
    shown = capsys.readouterr().out
    assert len(re.findall(r"^ +hypervolume +[\d.]+$", shown, re.MULTILINE)) == 1
    assert "what it does" in shown
    assert f"next: python -m search pick {run} --" in shown
    names = {path.name for path in run.iterdir()}
    assert {"config.yaml", "study.journal", "trials.csv", "front.csv", "pareto.png"} <= names
    one = strategies.load(run / "strategies" / "fastest.json")
    pipe = zoo.load("tiny-sd")
    accel.apply(pipe, one, set_scheduler=True)
    evaluator = Evaluator(read_model("tiny-sd"))
    prompts = evaluator.prompts["heldout"].first(2)
    images = [
        pipe(
            text,
            num_inference_steps=one.steps,
            guidance_scale=5.0,
            generator=torch.Generator().manual_seed(seed),
            output_type="np",
        ).images[0]
        for text, seed in zip(prompts.texts, prompts.seeds, strict=True)
    ]
    scored = np.stack(list(evaluator.generate("scored", one, prompts).images())).astype(int)
    mine = (np.stack(images) * 255).round().astype(int)
    assert np.abs(mine - scored).max() <= 1
    again = cli.main(["--resume", str(run), "--budget", "6evals"])
    assert again == 0
    assert len(Study(run / "study.journal").evaluations) == 6


@pytest.mark.slow
def test_kill_minus_nine_and_resume(tmp_path: Path) -> None:
    run, space = tmp_path / "run", tmp_path / "space.yaml"
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    knobs = {"deepcache.depth": ["full", 1, 3]}
    space.write_text(yaml.safe_dump({"schedulers": ["DDIM"], "steps": [4], "knobs": knobs}))
    process = subprocess.Popen(
        command(
            "--budget", "40evals", "--base-steps", "6", "--space", str(space), "--out", str(run)
        ),
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    journal = run / "study.journal"
    for _ in range(2400):
        if journal.exists() and journal.read_text(errors="replace").count('"op_code":4') >= 4:
            break
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    before = [row.strategy.digest for row in Study(journal).evaluations]
    assert len(before) >= 3
    done = cli.main(["--resume", str(run), "--budget", f"{len(before) + 2}evals"])
    assert done == 0
    after = [row.strategy.digest for row in Study(journal).evaluations]
    assert after[: len(before)] == before
    assert len(set(after)) == len(after) == len(before) + 2


@pytest.mark.slow
def test_ray_workers_survive_a_kill(tmp_path: Path) -> None:
    import psutil

    run = tmp_path / "run"
    arguments = ["--workers", "2", "--images", "8", "--heldout-images", "4", "--export", "2"]
    process = subprocess.Popen(
        [sys.executable, "-m", "search", *arguments, "--budget", "24evals", "--out", str(run)],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    journal = run / "study.journal"
    killed = False
    while process.poll() is None:
        time.sleep(0.2)
        if killed or not journal.exists():
            continue
        if len(Study(journal).evaluations) >= 4:
            workers = [
                p
                for p in psutil.Process(process.pid).children(recursive=True)
                if "ray::Worker" in " ".join(p.cmdline())
            ]
            workers[0].kill()
            killed = True
    assert killed
    assert process.returncode == 0
    rows = Study(journal).evaluations
    assert len(rows) == 24
    assert all(row.succeeded for row in rows)
    assert len({row.strategy.digest for row in rows}) == 24


def fails(capsys: pytest.CaptureFixture[str], main: Any, *arguments: str) -> str:
    assert main(list(arguments)) == 2
    shown = capsys.readouterr()
    assert "Traceback" not in shown.err
    assert len(shown.err.strip().splitlines()) == 1
    return str(shown.err)


def test_bad_input_is_one_clear_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "tiny-pixart, tiny-portraits, tiny-sd, " in fails(capsys, cli.main, "--model", "sd99")
    assert "20gpuh" in fails(capsys, cli.main, "--budget", "20 gpu")
    assert "not a run's folder" in fails(capsys, cli.main, "--resume", str(tmp_path))
    assert "NoScheduler" in fails(capsys, cli.main, "--schedulers", "NoScheduler")
    (tmp_path / "file").write_text("")
    assert "cannot be written" in fails(capsys, cli.main, "--out", str(tmp_path / "file" / "run"))
    assert "is not empty" in fails(capsys, cli.main, "--out", str(tmp_path))
    assert "prompts asked for" in fails(capsys, cli.main, "--heldout-images", "5000")
    run = tmp_path / "run"
    run.mkdir()
    settings = config.resolve("tiny-sd", {})
    other = settings.model_copy(
        update={"model": settings.model.model_copy(update={"name": "sd15"})}
    )
    other.write(run / "config.yaml")
    shown = fails(capsys, cli.main, "--resume", str(run), "--model", "tiny-sd")
    assert "run of model sd15" in shown
    assert "--seed cannot change" in fails(capsys, cli.main, "--resume", str(run), "--seed", "3")


def test_bad_strategies_are_one_clear_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main = evaluate_cli.main
    assert "no such file" in fails(capsys, main, "--strategy", str(tmp_path / "none.json"))
    (tmp_path / "bad.json").write_text("{")
    assert "not JSON" in fails(capsys, main, "--strategy", str(tmp_path / "bad.json"))
    wrong = strategy({"deepcache": {"depth": 1}}, 9, 5)
    strategies.save(wrong, tmp_path / "wrong.json")
    shown = fails(capsys, main, "--strategy", str(tmp_path / "wrong.json"), "--images", "2")
    assert "makes 5 calls" in shown
    assert "for 9" in shown
    assert "resample(calls=5)" in shown


def test_a_folder_without_permission(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if os.geteuid() == 0:  # Root may write anywhere: take a place where nobody can.
        assert "cannot be written" in fails(capsys, cli.main, "--out", "/proc/run")
        return
    tmp_path.chmod(0o500)
    assert "cannot be written" in fails(capsys, cli.main, "--out", str(tmp_path / "run"))


def test_evaluate_shows_both_views(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one = strategy({"deepcache": {"depth": ["full", 1, 1]}}, 3)
    strategies.save(one, tmp_path / "one.json")
    target = tmp_path / "out.json"
    arguments = ["--strategy", str(tmp_path / "one.json"), "--images", "2", "--repeats", "1"]
    arguments += ["--steps", "6"]
    assert evaluate_cli.main([*arguments, f"--json={target}"]) == 0
    rows = json.loads(target.read_text())["rows"]
    assert rows[0]["speedup"] == 1
    assert rows[0]["fd_base"] == pytest.approx(0, abs=1e-6)
    assert rows[1]["speedup"] > 1
    assert rows[1]["fd_base"] > 0
    shown = capsys.readouterr().out
    assert "2 prompts" in shown
    assert "FD to the reference" in shown
    assert "FD to the unaccelerated images" in shown


def test_evaluate_in_python() -> None:
    one = strategy({"deepcache": {"depth": ["full", 1, 1, "full", 1, 1]}})
    found = evaluate("tiny-sd", one, images=2, metrics=["fd", "psnr"])
    assert set(found) == {"fd_real", "fd_base", "psnr", "images", "baseline", "intervals"}
    same = evaluate(zoo.load("tiny-sd"), one, images=2)
    assert same["fd_base"] == pytest.approx(found["fd_base"], rel=1e-6)
    with pytest.raises(strategies.StrategyError, match="metric 'beauty' is unknown"):
        evaluate("tiny-sd", one, images=2, metrics=["beauty"])


def test_dry_run_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = [*SMALL, *few_choices(tmp_path), "--dry-run", "--budget", "20evals", "--json"]
    given += ["--out", str(tmp_path / "run")]
    assert cli.main(given) == 0
    shown = capsys.readouterr()
    assert "initial strategies" in shown.err
    found = json.loads(shown.out)
    assert found["model"] == "tiny-sd"
    assert found["total"] == found["before"] + found["search"] + found["after"] > 0
    assert not (tmp_path / "run").exists()
