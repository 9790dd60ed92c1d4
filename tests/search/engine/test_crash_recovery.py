"""Faults injected for real: kills, torn and damaged logs, full disks, exhausted memory, hangs."""

from __future__ import annotations

import os
import random
import resource
import shutil
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from evaluate.extraction import ExtractedFeatures
from search.engine.search import Search
from search.results import finalist
from search.study.storage.journal import drop_torn_tail
from search.study.study import Study
from search.workers.messages import SampleRequest
from strategies import StrategyError
from tests.support.runs.engines import make_engine
from tests.support.runs.fake_executor import FakeExecutor

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
FEW = {
    "schedulers": ["DDIMScheduler"],
    "steps": [4, 6, 8],
    "budget": "40s",
    "export": 2,
    "seeds": ["fewer-steps"],
}


class Told(FakeExecutor):
    """One worker that writes to a file what it has answered, beside the study."""

    def __init__(self, told: Path) -> None:
        super().__init__(slots=1)
        self.told = os.open(told, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def sample(self, request: SampleRequest) -> ExtractedFeatures:
        sample = super().sample(request)
        if request.key.isdigit() and request.split == "search":
            os.write(self.told, f"{request.key}\n".encode())
        return sample


def run(folder: Path) -> Search:
    engine = make_engine(folder, Told(folder / "told"), **FEW)
    engine.prepare()
    engine.evaluate()
    engine.finish()
    return engine


def in_a_child(work: Callable[[], Any], before: Callable[[], Any] = lambda: None) -> int:
    """Start some work in a forked process; returns its id. It exits with 0, or 1 if it raises."""
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        before()
        work()
        code = 0
    finally:
        os._exit(code)


def kill_at(child: int, journal: Path, size: int) -> int:
    """SIGKILL a process once the journal has so many bytes; returns its wait status."""
    while not journal.exists() or journal.stat().st_size < size:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return status
        time.sleep(0.0005)
    os.kill(child, signal.SIGKILL)
    return os.waitpid(child, 0)[1]


def die_at(size: int) -> None:
    """Have the kernel kill this process in the middle of the write that passes so many bytes."""
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


@needs_fork
@pytest.mark.parametrize("kills", [6, pytest.param(20, marks=pytest.mark.slow)])
def test_the_driver_killed_at_many_points_goes_on_as_if_nothing_had_happened(
    kills: int, tmp_path: Path
) -> None:
    (tmp_path / "whole").mkdir()
    whole = run(tmp_path / "whole")
    expected = [(e.number, e.strategy.digest, e.images) for e in whole.study.evaluations]
    length = (tmp_path / "whole" / "study.journal").stat().st_size
    folder = tmp_path / "killed"
    folder.mkdir()
    journal, rng = folder / "study.journal", random.Random(0)
    points = sorted(rng.randrange(1, length) for _ in range(kills))
    torn = 0
    for turn, point in enumerate(points):
        if turn % 2:
            start = journal.stat().st_size if journal.exists() else 0
            limit = partial(die_at, max(point, start + rng.randrange(1, 3000)))
            child = in_a_child(lambda: run(folder), limit)
            status = os.waitpid(child, 0)[1]
        else:
            status = kill_at(in_a_child(lambda: run(folder)), journal, point)
        assert os.WIFSIGNALED(status), f"{turn} at {point} of {length}: {status}"
        torn += journal.exists() and not journal.read_bytes().endswith(b"\n")
    assert torn >= kills // 6
    # What a worker had answered and the study does not have was under way when a kill came.
    logged = Study(journal).evaluations
    told = Counter((folder / "told").read_text().split())
    assert sum(told.values()) - len(logged) <= len(points)
    engine = run(folder)
    found = [(e.number, e.strategy.digest, e.images) for e in engine.study.evaluations]
    assert found == expected
    assert len({(digest, images) for _, digest, images in found}) == len(found)
    again = Study(journal)
    assert [(e.number, e.strategy.digest, e.images) for e in again.evaluations] == expected
    # The evaluations' seconds are those of one run: neither downtime nor lost work is in them.
    assert sum(e.seconds for e in again.evaluations) == sum(
        e.seconds for e in whole.study.evaluations
    )


def entry(number: int) -> bytes:
    return b'{"op_code":%d,"worker_id":"x"}\n' % number


@pytest.mark.parametrize(
    ("tail", "kept"),
    [
        (b"", 2),
        (entry(3)[:-1], 2),  # Whole but for its end.
        (b'{"op_co', 2),
        (b"\0" * 4096, 2),  # What a file system may leave that lost power.
        (b"\0" * 100 + b"\n" + b'{"op', 2),
        (b"{rubbish\n[1]\n\n", 2),
        (b"{rubbish\n" + entry(3), 4),  # Damaged before a whole entry: not a tail.
        (entry(3) * 60_000 + b"{" * 2**21, 60_002),
    ],
)
def test_a_damaged_tail_is_cut_and_nothing_else(tmp_path: Path, tail: bytes, kept: int) -> None:
    path = tmp_path / "journal"
    content = entry(1) + entry(2) + tail
    path.write_bytes(content)
    cut = drop_torn_tail(path)
    left = path.read_bytes()
    assert len(left) + cut == len(content)
    assert left == content[: len(left)]
    assert left.count(b"\n") == kept
    assert drop_torn_tail(path) == 0


def test_what_is_no_journal_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "letter"
    path.write_bytes(b"Dear reader,\nthis is no journal.\n")
    assert drop_torn_tail(path) == 0
    with pytest.raises(StrategyError, match="not a readable study log"):
        Study(path)


def test_the_lock_of_a_killed_process_holds_nobody_up(tmp_path: Path) -> None:
    path = tmp_path / "study.journal"
    Study(path).note("a", 1)
    (tmp_path / "study.journal.lock").symlink_to(path)
    began = time.monotonic()
    Study(path).note("b", 2)
    assert time.monotonic() - began < 25  # Optuna by itself waits for 30 s.
    assert (Study(path).noted("a"), Study(path).noted("b")) == (1, 2)


@contextmanager
def small_disk(folder: Path, size: int) -> Iterator[None]:
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(folder)]
    if not shutil.which("mount") or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("cannot mount a small file system here")
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_stops_the_search_with_what_it_has(tmp_path: Path) -> None:
    whole = make_engine(tmp_path / "whole", FakeExecutor(slots=1), joint=True, budget="20evals")
    whole.prepare()
    whole.evaluate()
    expected = [e.strategy.digest for e in whole.study.evaluations]
    place = tmp_path / "disk"
    size = sum(path.stat().st_size for path in (tmp_path / "whole").rglob("*") if path.is_file())
    with small_disk(place, size * 2 // 3):
        engine = make_engine(place / "run", FakeExecutor(slots=1), joint=True, budget="20evals")
        with pytest.raises(StrategyError, match=r"cannot be written \(No space left on device\)"):
            engine.prepare()
            engine.evaluate()
        journal = place / "run" / "study.journal"
        assert journal.read_bytes().endswith(b"\n")
        kept = [e.strategy.digest for e in Study(journal).evaluations]
        assert kept == expected[: len(kept)]
        assert 0 < len(kept) < 20
        # Once there is room again it goes on.
        subprocess.run(["mount", "-o", "remount,size=8m", str(place)], check=True)
        resumed = make_engine(place / "run", FakeExecutor(slots=1), joint=True, budget="20evals")
        resumed.prepare()
        resumed.evaluate()
        assert [e.strategy.digest for e in resumed.study.evaluations] == expected


def test_a_write_that_fails_half_way_leaves_no_half(tmp_path: Path) -> None:
    path = tmp_path / "study.journal"
    study = Study(path)
    study.note("a", 1)
    before = path.read_bytes()
    former = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 50, former[1]))
    try:
        with pytest.raises(StrategyError, match="cannot be written"):
            study.note("b", "x" * 500)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, former)
    assert path.read_bytes() == before
    study.note("c", 3)
    again = Study(path)
    assert (again.noted("a"), again.noted("b"), again.noted("c")) == (1, None, 3)


def test_two_synchronous_studies_of_one_seed_have_one_front(tmp_path: Path) -> None:
    fronts = []
    for name, seed in (("a", 5), ("b", 5), ("c", 6)):
        engine = make_engine(tmp_path / name, FakeExecutor(slots=1), **FEW | {"seed": seed})
        engine.prepare()
        engine.evaluate()
        best = finalist.front(engine.finish().finals)
        fronts.append([(one.strategy.digest, one.scores["fd_base"]) for one in best])
        assert len(engine.study.evaluations) > 10
    assert fronts[0] == fronts[1]
    assert fronts[0] != fronts[2]
