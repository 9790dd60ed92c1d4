"""A run goes on with what its figures were computed from, or says what has changed."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from evaluate import fingerprint
from search.results import run as runs
from search.run_folder import inputs
from search.workers.executor import InProcessExecutor
from search.workers.worker import Worker
from strategies import StrategyError
from tests.support.runs import fake_runs as made
from tests.support.runs.fake_executor import FakeExecutor
from tests.support.runs.stopped_runs import FEW, refused, resumed, stopped

pytestmark = pytest.mark.usefixtures("sketched")
SHAPES = ("circle", "square", "triangle", "star")
WORDS = [f"a large {colour} {one}" for colour in ("red", "blue", "green") for one in SHAPES]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("STRATAGEM_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def listed(path: Path, words: list[str]) -> str:
    path.write_text("\n".join(words))
    return str(path)


def test_prompts_that_changed_are_named_and_the_recorded_ones_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run, path = tmp_path / "run", tmp_path / "p.txt"
    other = listed(tmp_path / "h.txt", WORDS[::-1])
    flags = ["--prompts", listed(path, WORDS), "--heldout-prompts", other]
    stopped(run, monkeypatch, *flags)
    shutil.copytree(run, tmp_path / "same")
    assert resumed(tmp_path / "same", monkeypatch) == 0
    # What is not drawn changes nothing.
    listed(path, [*WORDS, "one more"])
    shutil.copytree(run, tmp_path / "longer")
    assert resumed(tmp_path / "longer", monkeypatch) == 0
    listed(path, WORDS[::-1])
    shown = refused(run, monkeypatch, capsys)
    assert f"the prompts of the search ({path})" in shown
    assert "held-out" not in shown
    assert "--recorded-prompts" in shown
    assert "--warm-start" in shown
    path.unlink()
    assert "continue with --recorded-prompts" in refused(run, monkeypatch, capsys)
    # Recorded ones stay, also in a folder that was moved.
    assert resumed(run, monkeypatch, "--recorded-prompts") == 0
    run.rename(tmp_path / "moved")
    moved = runs.load_run(tmp_path / "moved")
    assert moved.config.model.search_prompts.startswith(str(tmp_path / "moved"))
    assert resumed(tmp_path / "moved", monkeypatch, "--budget", "16evals") == 0
    mine = [row.strategy.digest for row in runs.load_run(tmp_path / "moved").study.evaluations]
    theirs = [row.strategy.digest for row in runs.load_run(tmp_path / "same").study.evaluations]
    assert mine[: len(theirs)] == theirs


def test_held_out_prompts_that_changed_after_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run, path = tmp_path / "run", tmp_path / "h.txt"
    flags = ["--prompts", listed(tmp_path / "p.txt", WORDS)]
    flags += ["--heldout-prompts", listed(path, WORDS[::-1])]
    assert made.search(monkeypatch, FakeExecutor(slots=1), "--out", str(run), *FEW, *flags) == 0
    listed(path, ["a small red triangle"] * 6)
    assert f"held-out prompts ({path})" in refused(run, monkeypatch, capsys, "--budget", "20evals")


def test_images_of_the_reference_that_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run, folder = tmp_path / "run", tmp_path / "reference"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for index in range(8):
        pixels = rng.integers(0, 255, (32, 32, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{index}.png")
    flags = ["--reference", str(folder), "--objective", "fd_real", "--objective", "latency"]
    stopped(run, monkeypatch, *flags)
    for path in folder.iterdir():
        os.utime(path, (1, 1))  # Other times, the same images.
    shutil.copytree(run, tmp_path / "same")
    assert resumed(tmp_path / "same", monkeypatch) == 0
    Image.new("RGB", (32, 32)).save(folder / "3.png")
    assert f"the reference ({folder})" in refused(run, monkeypatch, capsys)


def test_only_what_was_written_since_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    whole = fingerprint._digest

    def noticed(path: Path) -> str:
        read.append(path.name)
        return whole(path)

    monkeypatch.setattr(fingerprint, "_digest", noticed)
    monkeypatch.setattr(fingerprint, "MOMENT", 0)
    paths = [tmp_path / name for name in ("a", "b")]
    for path in paths:
        path.write_text("x")
    first = fingerprint.digests(tmp_path, paths)
    assert fingerprint.digests(tmp_path, paths) == first
    assert sorted(read) == ["a", "b"]
    paths[0].write_text("y")  # As long as before.
    os.utime(paths[1], (1, 1))  # Another time, the same content.
    second = fingerprint.digests(tmp_path, paths)
    assert second["a"] != first["a"]
    assert second["b"] == first["b"]
    assert sorted(read) == ["a", "a", "b", "b"]
    monkeypatch.setattr(fingerprint, "MOMENT", 1e15)  # Just written: not relied on.
    paths[0].write_text("z")
    fingerprint.digests(tmp_path, paths)
    fingerprint.digests(tmp_path, paths)
    assert sorted(read)[:4] == ["a"] * 4


def test_weights_and_packages_that_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    stopped(run, monkeypatch)
    parts = fingerprint.weight_digests("zoo:tiny-sd")
    with monkeypatch.context() as patch:
        patch.setattr(fingerprint, "weight_digests", lambda _: parts | {"vae": "other"})
        shown = refused(run, monkeypatch, capsys)
        assert "changed since it began: vae of the model (zoo:tiny-sd); put it back" in shown
    there = fingerprint.package_versions()
    with monkeypatch.context() as patch:
        patch.setattr(fingerprint, "package_versions", lambda: there | {"torch": "1.0"})
        assert f"torch ({there['torch']}, now 1.0)" in refused(run, monkeypatch, capsys)
    assert resumed(run, monkeypatch) == 0


def test_workers_draw_the_prompts_and_the_weights_of_the_search(tmp_path: Path) -> None:
    from search.config import resolve
    from search.workers.factory import make_executor

    config = resolve("tiny-sd", {"workers": 0, "images": 4, "heldout_images": 4})
    there = inputs.collect_inputs(config)
    changed = {**there.prompts, "search": there.prompts["heldout"]}
    executor = make_executor(config, config.model, "cpu", changed, there.weights)
    assert isinstance(executor, InProcessExecutor)
    executor.open()
    worker = executor._worker
    assert isinstance(worker, Worker)
    assert worker.evaluator.prompts["search"] == there.prompts["heldout"]
    assert worker.weights == there.weights
    with pytest.raises(StrategyError, match="holds other weights"):
        make_executor(config, config.model, "cpu", changed, "other").open()


def test_a_run_from_before_goes_on_and_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run, path = tmp_path / "run", tmp_path / "p.txt"
    stopped(run, monkeypatch, "--prompts", listed(path, WORDS))
    journal = run / "study.journal"
    lines = []
    for line in journal.read_text().splitlines():
        entry = json.loads(line)
        entry.pop("entry")
        if not {"inputs", "settings"} & set(entry.get("user_attr", {})):
            lines.append(json.dumps(entry, separators=(",", ":")))
    journal.write_text("\n".join(lines) + "\n")
    shutil.rmtree(run / "inputs")
    from safetensors.numpy import load_file, save_file

    for file in run.glob("*.safetensors"):
        save_file(load_file(file), file)
    capsys.readouterr()
    executor = FakeExecutor(slots=1)
    assert made.search(monkeypatch, executor, "--resume", str(run)) == 0
    assert "begun by a version that did not note" in capsys.readouterr().out
    base = runs.load_run(run).unaccelerated.strategy.digest
    assert (base, "search") not in executor.seen  # Its sample was taken as it is.
    listed(path, WORDS[::-1])
    assert "the prompts of the search" in refused(run, monkeypatch, capsys, "--budget", "20evals")


def test_a_warm_start_says_that_its_scores_are_of_other_inputs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "p.txt"
    stopped(tmp_path / "a", monkeypatch, "--prompts", listed(path, WORDS))
    capsys.readouterr()
    warm = ["--warm-start", str(tmp_path / "a"), "--prompts", str(path)]
    stopped(tmp_path / "b", monkeypatch, *warm)
    assert "--warm-start" not in capsys.readouterr().out
    listed(path, WORDS[::-1])
    stopped(tmp_path / "c", monkeypatch, *warm)
    assert "scored with other inputs (the prompts of the search" in capsys.readouterr().out
