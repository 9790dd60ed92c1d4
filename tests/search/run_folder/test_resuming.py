"""A run goes on with what its figures were computed from, or says what has changed."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from evaluate import fingerprint
from search import cli
from search.results import run as runs
from search.run_folder import inputs
from search.study import run_lock as lock
from search.study.storage import notes
from search.study.study import Study
from search.workers.executor import InProcess
from search.workers.worker import Worker
from strategies import StrategyError
from tests.support.runs import fake_runs as made
from tests.support.runs.fake_executor import FakeExecutor

SHAPES = ("circle", "square", "triangle", "star")
WORDS = [f"a large {colour} {one}" for colour in ("red", "blue", "green") for one in SHAPES]
FEW = ["--budget", "14evals", "--images", "6", "--heldout-images", "6", "--rungs", "6"]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("STRATAGEM_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def stopped(run: Path, monkeypatch: pytest.MonkeyPatch, *flags: str, after: int = 8) -> None:
    """A run with fake workers that ends in the middle."""
    executor = FakeExecutor(slots=1)
    executor.stop_after = after
    assert made.search(monkeypatch, executor, "--out", str(run), *FEW, *flags) == 130


def resumed(run: Path, monkeypatch: pytest.MonkeyPatch, *flags: str) -> int:
    return made.search(monkeypatch, FakeExecutor(slots=1), "--resume", str(run), *flags)


def refused(run: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any, *flags: str) -> str:
    """The one line that a resumption ends with; no file of the run may change."""
    before = content(run)
    capsys.readouterr()
    assert resumed(run, monkeypatch, *flags) == 2
    shown = str(capsys.readouterr().err)
    assert shown.count("\n") == 1, shown
    assert content(run) == before
    return shown


def content(folder: Path) -> dict[str, bytes]:
    return {str(p): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


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
    moved = runs.read(tmp_path / "moved")
    assert moved.config.model.search_prompts.startswith(str(tmp_path / "moved"))
    assert resumed(tmp_path / "moved", monkeypatch, "--budget", "16evals") == 0
    mine = [row.strategy.digest for row in runs.read(tmp_path / "moved").study.evaluations]
    theirs = [row.strategy.digest for row in runs.read(tmp_path / "same").study.evaluations]
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
    parts = fingerprint.weights("zoo:tiny-sd")
    with monkeypatch.context() as patch:
        patch.setattr(fingerprint, "weights", lambda _: parts | {"vae": "other"})
        shown = refused(run, monkeypatch, capsys)
        assert "changed since it began: vae of the model (zoo:tiny-sd); put it back" in shown
    there = fingerprint.versions()
    with monkeypatch.context() as patch:
        patch.setattr(fingerprint, "versions", lambda: there | {"torch": "1.0"})
        assert f"torch ({there['torch']}, now 1.0)" in refused(run, monkeypatch, capsys)
    assert resumed(run, monkeypatch) == 0


def test_workers_draw_the_prompts_and_the_weights_of_the_search(tmp_path: Path) -> None:
    from search.config import resolve
    from search.workers.factory import start

    config = resolve("tiny-sd", {"workers": 0, "images": 4, "heldout_images": 4})
    there = inputs.collect(config)
    changed = {**there.prompts, "search": there.prompts["heldout"]}
    executor = start(config, config.model, "cpu", changed, there.weights)
    assert isinstance(executor, InProcess)
    executor.open()
    worker = executor._worker
    assert isinstance(worker, Worker)
    assert worker.evaluator.prompts["search"] == there.prompts["heldout"]
    assert worker.weights == there.weights
    with pytest.raises(StrategyError, match="holds other weights"):
        start(config, config.model, "cpu", changed, "other").open()


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
    base = runs.read(run).unaccelerated.strategy.digest
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


def test_a_config_that_was_cut_or_edited(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    stopped(run, monkeypatch, "--min-speedup", "1.5")
    path = run / "config.yaml"
    whole = path.read_text()
    lines = whole.splitlines(keepends=True)
    tops = [number for number, line in enumerate(lines) if not line.startswith((" ", "-"))]
    assert len(tops) > 20
    for number in tops[2::5]:  # Cut at the end of a setting.
        path.write_text("".join(lines[:number]))
        shown = refused(run, monkeypatch, capsys)
        assert "config.yaml" in shown or "search setting" in shown
        assert cli.main(["status", str(run)]) == 2
    for name, value in [
        ("constraints", {"min-speedup": 1.2}),
        ("constraints", {"min-speedup": 1.5, "max-fd_base": 3.0}),
        ("heldout_images", 5),
        ("seed", 3),
    ]:
        path.write_text(yaml.safe_dump(yaml.safe_load(whole) | {name: value}))
        shown = refused(run, monkeypatch, capsys)
        assert f"{path}: {name}" in shown
    assert "is 3, and the run began with 0" in shown
    path.write_text(yaml.safe_dump(yaml.safe_load(whole) | {"budget": "15evals"}))
    shutil.copytree(run, tmp_path / "free")
    assert resumed(tmp_path / "free", monkeypatch) == 0
    assert len(runs.read(tmp_path / "free").study.evaluations) == 15
    path.unlink()
    assert resumed(run, monkeypatch) == 0
    assert yaml.safe_load(path.read_text()) == yaml.safe_load(whole)


def test_a_journal_that_is_lost_or_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    stopped(run, monkeypatch)
    journal = run / "study.journal"
    lines = journal.read_bytes().splitlines(keepends=True)
    first = next(n for n, line in enumerate(lines) if b"entry:baseline-search" in line)
    for count in (0, 1, 2, first):
        journal.write_bytes(b"".join(lines[:count]))
        shown = refused(run, monkeypatch, capsys)
        assert "baseline-search.safetensors is there" in shown
    journal.unlink()
    assert "put a whole copy back" in refused(run, monkeypatch, capsys)
    # Cut where nothing drawn is lost it goes on.
    journal.write_bytes(b"".join(lines[: first + 5]))
    assert resumed(run, monkeypatch) == 0


def test_a_journal_with_entries_twice_or_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    stopped(run, monkeypatch)
    journal = run / "study.journal"
    lines = journal.read_bytes().splitlines(keepends=True)
    foreign = b'{"op_code":2,"worker_id":"dashboard","study_id":0,"user_attr":{"seen":1}}\n'
    journal.write_bytes(b"".join([*lines[:6], foreign, *lines[6:]]))
    assert Study(journal).noted("seen") == 1
    odd = b'{"op_code":99,"worker_id":"x"}\n'
    cases = {
        "which is there twice": [*lines[:7], lines[6], *lines[7:]],
        "1 are missing": [*lines[:6], *lines[7:]],
        "3 are missing": [*lines[:5], *lines[8:]],
        "line 6 is not JSON": [*lines[:5], b"{bad\n", *lines[5:]],
        "line 7 is no entry of a study": [*lines[:6], b"[1]\n", *lines[6:]],
        "(op_code 99)": [*lines, odd],
    }
    for words, damaged in cases.items():
        journal.write_bytes(b"".join(damaged))
        assert words in refused(run, monkeypatch, capsys)
        for command in ("status", "front"):
            assert cli.main([command, str(run)]) == 2
            shown = capsys.readouterr().err
            assert words in shown
            assert shown.count("\n") == 1
    # Without numbers a doubled evaluation is found by its own.
    bare = [line[line.index(b"op_code") - 1 :].join([b"{", b""]) for line in lines]
    assert json.loads(bare[0])["op_code"] == 0
    again = next(line for line in bare if json.loads(line)["op_code"] == 4)
    journal.write_bytes(b"".join([*bare, again]))
    with pytest.raises(StrategyError, match=r"evaluation 0 is in it twice"):
        Study(journal)


def test_one_study_in_a_database_has_one_lock_and_copies_become_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    url, run = f"sqlite:///{tmp_path / 'studies.db'}", tmp_path / "run"
    stopped(run, monkeypatch, "--storage", url)
    name = runs.read(run).config.study
    with lock.studying(url, name), lock.studying(url, "another"):
        assert "a search is running in the study" in refused(run, monkeypatch, capsys)
    shutil.copytree(run, tmp_path / "copy")
    run.rename(tmp_path / "moved")
    assert resumed(tmp_path / "moved", monkeypatch) == 0
    assert runs.read(tmp_path / "moved").config.study == name
    before = len(runs.read(tmp_path / "moved").study.evaluations)
    capsys.readouterr()
    assert resumed(tmp_path / "copy", monkeypatch, "--budget", "17evals") == 0
    assert "is a copy" in capsys.readouterr().out
    copy = runs.read(tmp_path / "copy")
    assert copy.config.study != name
    assert len(copy.study.evaluations) == 17
    assert len(runs.read(tmp_path / "moved").study.evaluations) == before
    assert resumed(tmp_path / "copy", monkeypatch, "--budget", "18evals") == 0
    assert runs.read(tmp_path / "copy").config.study == copy.config.study
    assert notes(url, name)["home"]["path"] == str(tmp_path / "moved")
