"""Files from strangers: whatever they hold, there is a strategy or one error, at little cost.

Work is counted in executed lines, so that a busy machine fails nothing.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import strategies
from strategies import Strategy, StrategyError
from strategies.data_files import reading
from strategies.data_files.limits import MAX_CALLS, MAX_GROUPS, MAX_TEXT
from tests.support.heavy_files import BASE, HEAVY, full, groups, many, nested
from tests.support.strategy_texts import TERMINAL, refused, run, used, work


@pytest.mark.parametrize("kind", HEAVY)
def test_heavy_files_end(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "heavy.json"
    path.write_text(HEAVY[kind](), encoding="utf-8")
    code, said = run("validate", path)
    assert code == (0 if said.startswith(f"{path}: ok") else 1)
    assert len(said.splitlines()) == 1
    code, shown = run("show", path)
    assert code == (0 if ": ok" in said else 2)
    assert len(shown) < 400_000
    assert not set(TERMINAL) & set(shown)


@pytest.mark.slow
def test_heavy_files_take_little_memory(tmp_path: Path) -> None:
    """All commands on all heavy files, one after another in one process."""
    code = """
import contextlib, os, sys
from pathlib import Path
from strategies.cli import main
from tests.support.heavy_files import HEAVY
path, out = Path(sys.argv[1]) / "heavy.json", Path(sys.argv[1]) / "new.json"
for make in HEAVY.values():
    path.write_text(make(), encoding="utf-8")
    for rest in (
        ["validate", path], ["list", path], ["show", path], ["show", path, "--json"],
        ["diff", path, path], ["diff", path, "deepcache-n3"],
        ["export", path, "--to", "cache-dit"], ["resample", path, "--calls", "7", "--out", out],
        ["resample", path, "--calls", "2000", "--out", out],
    ):
        with (
            open(os.devnull, "w") as nothing,
            contextlib.redirect_stdout(nothing),
            contextlib.redirect_stderr(nothing),
        ):
            assert main([str(one) for one in rest]) in (0, 1, 2), rest
# The peak of this program; getrusage's is also that of the process that started it.
status = Path("/proc/self/status").read_text()
print(status.partition("VmHWM:")[2].split()[0])
"""
    command = [sys.executable, "-c", code, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert int(done.stdout) < 200_000  # Kilobytes, the interpreter's own among them.


@pytest.mark.parametrize(
    "make",
    [
        lambda n: many(n),
        lambda n: full(n) | {"family": "dit", "methods": groups(n, n // 4, 20)},
        lambda n: full(n) | {"family": "dit", "methods": {"toca": {"ratio": [0.5] * n}}},
        lambda n: BASE | {"scores": {f"k{i}": [i] * 4 for i in range(n)}},
        lambda n: BASE | {f"f{i}": 0 for i in range(n)},
    ],
    ids=["every list", "groups of blocks", "one list", "free values", "unknown fields"],
)
def test_work_grows_with_the_file_alone(make: Callable[[int], dict[str, Any]]) -> None:
    def all_of(text: str) -> None:
        with contextlib.suppress(StrategyError):
            used(text).resample(calls=50)

    small, large = (json.dumps(make(n)) for n in (200, 800))
    all_of(small)  # What is done once only.
    all_of(large)
    # Four times the size: a square would be 16 times the lines.
    assert work(lambda: all_of(large)) < 6 * work(lambda: all_of(small))


def test_depths_beyond_the_limit_are_refused() -> None:
    used(nested(10))
    for depth in (33, 100, 256, 500, 960, 980, 994, 5_000, 45_000):
        assert "deep within each other" in refused(nested(depth))
    inside: Any = 0
    for _ in range(2_000):
        inside = [inside]
    with pytest.raises(StrategyError, match="deep within each other"):
        Strategy.create(**strategies.parse(nested(2)).to_json() | {"scores": {"a": inside}})


def test_no_list_of_a_method_is_empty() -> None:
    """A method whose per-call lists are all left out has the neutral value at every call."""
    for name, kind in strategies.registered_methods().items():
        fields = BASE | {"family": kind.families[0], "methods": {name: {}}}
        try:
            one = used(json.dumps(fields))
        except StrategyError:
            continue
        assert all(len(getattr(one.methods[name], knob)) == 4 for knob in kind.per_call)
        assert one.resample(calls=9).digest


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"provenance": {"a": {"\ud800": 1, "b": {"\ud800": 1}}}}, "half a character"),
        ({"provenance": {"a": ["\udfff"]}}, "provenance.a[0]"),
        ({"methods": {"\ud800": {}}}, "half a character"),
        ({"name": "\ud800"}, "half a character"),
        ({"scores": {"a": 10**30}}, "more than 64 bits"),
        ({"scores": {"a": 10**2_000}}, "more than 40 digits"),
        ({"steps": True}, "steps is True"),
        ({"calls": True}, "calls is True; it must be a whole number"),
        ({"schema": True}, "schema"),
        ({"calls": 10**9}, f"calls is 1000000000; allowed are 1 to {MAX_CALLS}"),
        ({"calls": 10**9, "methods": {"tome": {"ratio": 0.5}}}, "calls is 1000000000"),
        ({"methods": {"tome": {"ratio": True}}}, "ratio"),
        ({"methods": {"deepcache": {"depth": 10**18}}}, "depth[0]"),
        ({"name": "x" * (MAX_TEXT + 1)}, f"at most {MAX_TEXT}"),
        ({"scores": {"k" * 201: 0}}, "at most 200 are allowed"),
        ({"scores": {"\u00e9": 0, "e\u0301": 1}}, "given twice"),
        ({"scheduler": "DDIM\x1b[2J"}, "give the class name of a solver"),
        ({"cls": 1}, "cls is an unknown field"),
        ({"methods": [1]}, "methods"),
        (
            {"family": "dit", "methods": {"fora": {"attn": [[True] * (MAX_GROUPS + 1)] * 4}}},
            f"at most {MAX_GROUPS}",
        ),
        ({"family": "dit", "methods": {"cat": {"alpha": True}}}, "alpha"),
        ({"family": "dit", "methods": {"toca": {"ratio": "0.5"}}}, "ratio"),
    ],
)
def test_each_kind_is_one_line(change: dict[str, Any], message: str) -> None:
    assert message in refused(json.dumps(BASE | change))


@pytest.mark.parametrize("number", ["1e400", "-1e999", "NaN", "Infinity"])
def test_numbers_that_are_none_are_refused(number: str) -> None:
    text = json.dumps(BASE)[:-1] + f', "scores": {{"a": {number}}}}}'
    assert f"{number} is not a number" in refused(text)


def test_only_regular_files_are_read(tmp_path: Path) -> None:
    for name in ("pipe", "folder", "loop", "x" * 5_000, "nul\0", "half\ud800"):
        path = tmp_path / name
        if name == "pipe":
            os.mkfifo(path)
        elif name == "folder":
            path.mkdir()
        elif name == "loop":
            path.symlink_to(path)
        for act in (strategies.load, reading.read_bytes):
            with pytest.raises((StrategyError, FileNotFoundError)) as caught:
                act(path)
            assert str(caught.value).isprintable()
        assert run("show", path)[0] == 2
    for device in ("/dev/zero", "/dev/null"):
        with pytest.raises(StrategyError, match="not a regular file"):
            strategies.load(device)


def test_a_file_is_not_read_beyond_the_limit(tmp_path: Path) -> None:
    path = tmp_path / "sparse.json"
    with path.open("wb") as file:
        file.truncate(10**11)
    with pytest.raises(StrategyError, match="larger than 4000000 bytes"):
        strategies.load(path)


def test_a_byte_order_mark_is_skipped(tmp_path: Path) -> None:
    path = tmp_path / "windows.json"
    path.write_bytes(json.dumps(BASE).encode("utf-8-sig"))
    assert strategies.load(path).digest == strategies.parse(json.dumps(BASE)).digest
    assert strategies.parse("\ufeff" + json.dumps(BASE)).calls == 4
    path.write_bytes(json.dumps(BASE).encode("utf-16"))
    with pytest.raises(StrategyError, match="not a text file in UTF-8"):
        strategies.load(path)


@pytest.mark.parametrize("calls", [0, -1, MAX_CALLS + 1, 10**9, 10**30])
def test_resampling_to_absurd_calls_is_refused(calls: int) -> None:
    one = strategies.load("fora-n3")
    with pytest.raises(StrategyError, match="cannot resample"):
        one.resample(calls=calls)
    with pytest.raises(StrategyError, match="cannot resample"):
        one.resample(steps=calls)


def test_commands_make_the_folder_that_they_write_to(tmp_path: Path) -> None:
    there = tmp_path / "a" / "b" / "x.json"
    assert run("resample", "dato-b1", "--steps", 20, "--out", there)[0] == 0
    assert strategies.load(there).steps == 20
    there = tmp_path / "c" / "d" / "mask.json"
    assert run("export", "fora-n3", "--to", "cache-dit", "--out", there)[0] == 0
    assert there.exists()
