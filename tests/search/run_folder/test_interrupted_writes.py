"""A run's folder after a kill or an error at any of its writes: whole files, one story, one end."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from search import cli
from search.results import run as runs
from strategies import StrategyError
from strategies.data_files import whole
from tests.support.runs.engines import MODEL, PIPE
from tests.support.runs.fake_executor import FakeExecutor
from tests.support.runs.write_faults import Writes, failing, in_a_child, killed

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
SMALL = [
    *("--schedulers", "DDIM", "--steps", "4,6", "--images", "8", "--heldout-images", "8"),
    *("--rungs", "4,8", "--export", "2", "--workers", "0", "--initial", "fewer-steps"),
]
BUDGET, MORE = ("--budget", "6evals"), ("--budget", "9evals")
FEW = 4  # Points that are hit by default, spread over all writes.


@pytest.fixture(autouse=True)
def small(sketched: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fake workers, a model that is loaded once, and pictures that are drawn at once."""
    monkeypatch.setattr("search.workers.factory.make_executor", lambda *_: FakeExecutor(slots=1))
    monkeypatch.setattr("search.commands.model_setup.load_pipeline", lambda *_, **__: PIPE)
    monkeypatch.setattr("search.commands.model_setup.load_model", lambda *_: (PIPE, MODEL))


@dataclass
class Scene:
    """One search to be broken off.

    Attributes:
        folder: of the run.
        before: a finished run that it begins from, if any.
        flags: of the search.
        expected: what it comes to when nothing happens.
    """

    folder: Path
    before: Path | None
    flags: tuple[str, ...]
    expected: Story | None = None

    def reset(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        if self.before is not None:
            shutil.copytree(self.before, self.folder)

    def start(self) -> int:
        if self.before is not None:
            return cli.main(["--resume", str(self.folder), *self.flags])
        return cli.main([*SMALL, *self.flags, "--out", str(self.folder)])

    def go_on(self) -> int:
        """As the words on the screen have it: resumed, or where there is no run yet begun."""
        if self.before is None and not (self.folder / "study.journal").exists():
            return self.start()
        return cli.main(["--resume", str(self.folder), *self.flags])


@dataclass
class Story:
    """What a run has come to."""

    evaluations: list[tuple[Any, ...]]
    spent: float
    files: dict[str, bytes] = field(repr=False)

    @classmethod
    def of(cls, folder: Path) -> Story:
        study = runs.load_run(folder).study
        rows = [
            (e.number, e.strategy.digest, e.images, e.objectives, e.error)
            for e in study.evaluations
        ]
        return cls(rows, study.spent, exported(folder))


def exported(folder: Path) -> dict[str, bytes]:
    """The strategy files and the tables."""
    paths = [*(folder / "strategies").glob("*.json"), folder / "front.csv", folder / "trials.csv"]
    there = sorted(path for path in paths if path.exists())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in there}


def strategies(files: dict[str, bytes]) -> dict[str, bytes]:
    return {name: content for name, content in files.items() if name.endswith(".json")}


NEW_BY_DEFAULT = ["new", pytest.param("more", marks=pytest.mark.slow)]
MORE_BY_DEFAULT = [pytest.param("new", marks=pytest.mark.slow), "more"]


@pytest.fixture(params=["new", "more"])
def scene(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Scene]:
    folder = tmp_path / "run"
    assert cli.main([*SMALL, *BUDGET, "--out", str(folder)]) == 0
    if request.param == "new":
        yield Scene(folder, None, BUDGET, Story.of(folder))
        return
    (tmp_path / "before").mkdir()
    before = shutil.copytree(folder, tmp_path / "before" / "run")
    assert cli.main(["--resume", str(folder), *MORE]) == 0
    yield Scene(folder, Path(before), MORE, Story.of(folder))


def look(scene: Scene) -> None:
    """What has to hold at any moment: every file whole, and a state that is true."""
    folder, expected = scene.folder, scene.expected
    assert expected is not None
    old = {} if scene.before is None else strategies(exported(scene.before))
    now = strategies(exported(folder))
    assert now in (old, strategies(expected.files))
    for path in folder.rglob("*"):
        if path.is_file() and whole.SUFFIX not in path.name and "lock" not in path.name:
            assert path.stat().st_size, path
            if path.suffix == ".json":
                json.loads(path.read_text())
    try:
        run = runs.load_run(folder)
    except StrategyError:
        assert not (folder / "study.journal").exists()
        return
    done = [(e.number, e.strategy.digest) for e in run.study.evaluations]
    assert done == [row[:2] for row in expected.evaluations[: len(done)]]
    assert run.study.spent <= expected.spent + 1
    if run.state == "finished" and run.config.budget == scene.flags[1]:
        assert exported(folder) == expected.files
    elif run.state == "finished":
        assert scene.before is not None
        assert exported(folder) == exported(scene.before)
    assert run.state in ("finished", "interrupted")


def same(scene: Scene) -> None:
    """It has come to what it comes to when nothing happens, and nothing lies about."""
    assert scene.expected is not None
    found = Story.of(scene.folder)
    assert found.evaluations == scene.expected.evaluations
    assert found.files == scene.expected.files
    assert abs(found.spent - scene.expected.spent) <= 1
    assert runs.load_run(scene.folder).state == "finished"
    assert not list(scene.folder.rglob(f"*{whole.SUFFIX}*"))


def count(scene: Scene, shown: Path) -> int:
    """The writes of the search."""
    scene.reset()

    def work() -> int:
        writes = Writes(scene.folder, 0, lambda _: None)
        writes.start()
        code = scene.start()
        os.write(1, f"\nwrites {writes.count}\n".encode())
        return code

    assert in_a_child(work, shown) == 0, shown.read_text()
    same(scene)
    return int(shown.read_text().rpartition("writes ")[2])


def hit(scene: Scene, shown: Path, point: int, fault: Callable[[str], None], onward: bool) -> int:
    """The search, with a fault at one of its writes; returns its wait status."""
    scene.reset()

    def work() -> int:
        Writes(scene.folder, point, fault, onward).start()
        return scene.start()

    return in_a_child(work, shown)


def kill_at(scene: Scene, tmp_path: Path, points: Iterator[int] | range) -> int:
    shown, hits = tmp_path / "shown", 0
    for point in points:
        status = hit(scene, shown, point, killed, onward=False)
        assert os.WIFSIGNALED(status), f"{point}: {shown.read_text()}"
        assert os.WTERMSIG(status) == signal.SIGKILL
        look(scene)
        assert scene.go_on() == 0, point
        same(scene)
        hits += 1
    return hits


FAULTS = (errno.ENOSPC, errno.EACCES, errno.EIO, errno.EROFS)


def fail_at(scene: Scene, tmp_path: Path, points: Iterator[int] | range) -> int:
    shown, hits = tmp_path / "shown", 0
    for turn, point in enumerate(points):
        number = FAULTS[turn % len(FAULTS)]
        status = hit(scene, shown, point, failing(number), onward=True)
        text = shown.read_text()
        lines = [line for line in text.splitlines() if line.startswith("error: ")]
        where = f"{point}, {errno.errorcode[number]}: {text}"
        assert os.waitstatus_to_exitcode(status) == 2, where
        assert len(lines) == 1, where
        assert "Traceback" not in text, where
        assert os.strerror(number) in lines[0], where
        look(scene)
        there = (scene.folder / "study.journal").exists()
        assert ("--resume" if there else "the same command") in lines[0], where
        assert scene.go_on() == 0, where
        same(scene)
        hits += 1
    return hits


def sample(total: int, size: int) -> Iterator[int]:
    """So many points, spread over all, the last one among them."""
    return iter(sorted({1 + round(k * (total - 1) / (size - 1)) for k in range(size)}))


@needs_fork
@pytest.mark.parametrize("scene", NEW_BY_DEFAULT, indirect=True)
def test_a_kill_at_any_write_costs_nothing(scene: Scene, tmp_path: Path) -> None:
    total = count(scene, tmp_path / "shown")
    assert total > 60
    assert kill_at(scene, tmp_path, sample(total, FEW)) == FEW


@needs_fork
@pytest.mark.slow
def test_a_kill_at_every_write_costs_nothing(scene: Scene, tmp_path: Path) -> None:
    total = count(scene, tmp_path / "shown")
    assert kill_at(scene, tmp_path, range(1, total + 1)) == total


@needs_fork
@pytest.mark.parametrize("scene", MORE_BY_DEFAULT, indirect=True)
def test_an_error_at_any_write_is_one_line(scene: Scene, tmp_path: Path) -> None:
    total = count(scene, tmp_path / "shown")
    assert fail_at(scene, tmp_path, sample(total, FEW)) == FEW


@needs_fork
@pytest.mark.slow
def test_an_error_at_every_write_is_one_line(scene: Scene, tmp_path: Path) -> None:
    total = count(scene, tmp_path / "shown")
    assert fail_at(scene, tmp_path, range(1, total + 1)) == total
