"""`python -m strategies`: what each command prints, its exit codes, and bad input."""

from __future__ import annotations

import contextlib
import io
import json
import re
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import strategies
from strategies import Strategy, rules
from strategies.cli import main, parser
from tests.strategies.test_describe import any_strategy, made
from tests.support.paths import ROOT


@pytest.fixture(autouse=True)
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.delenv("FORCE_COLOR", raising=False)


def run(*arguments: Any) -> tuple[int, str, str]:
    """Exit code, standard output and standard error."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main([str(argument) for argument in arguments])
    return code, out.getvalue(), err.getvalue()


def shows(*arguments: Any) -> str:
    """What a command that succeeds prints; plain and narrow."""
    code, out, err = run(*arguments)
    assert (code, err) == (0, "")
    assert "\x1b" not in out
    assert "…" not in out
    assert max(map(len, out.splitlines())) <= 80
    return out


def fails(*arguments: Any) -> str:
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert len(err.splitlines()) == 1
    assert err.startswith("error: ")
    return err


def test_list_shows_every_preset_and_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = shows("list")
    for name in strategies.presets():
        assert f"\n{name} " in out
    assert "PNDMScheduler" in out
    assert "50 steps, 51 calls" in out
    assert "tgate-0.4" in out
    words = " ".join(out.split())
    assert words.count(": fits any solver and number of steps") == len(rules.rule_names()) + 1
    monkeypatch.chdir(tmp_path)
    path = "a-file-with-a-name-that-is-longer-than-a-column.json"
    strategies.save(made({"tome": {"ratio": 0.5}}, name="mine"), path)
    out = shows("list", path, "tome-0.3")
    assert "tome at 6 of 6 calls:" in out
    assert "tome at 51 of 51 calls:" in out
    assert "dato" not in out
    column = "".join(line[:26].strip() for line in out.splitlines()[2:])
    assert column == path + "tome-0.3"
    facts = json.loads(shows_json("list", path))
    assert facts[0]["name"] == "mine"
    assert facts[0]["methods"] == ["tome"]
    assert facts[0]["source"] == path


def shows_json(*arguments: Any) -> str:
    code, out, err = run(*arguments, "--json")
    assert (code, err) == (0, "")
    return out


def test_show_groups_equal_calls(tmp_path: Path) -> None:
    depth = ["full", 1, 1, 1, "full", 0]
    one = made(
        {"deepcache": {"depth": depth}, "tome": {"ratio": [0.5, 0.5, 0.5, 0, 0, 0.7]}},
        name="one [bold]",
        scores={"speedup": 2.123456789, "intervals": {"fd": [1, 2]}},
        provenance={"model": "tiny-sd"},
    )
    path = tmp_path / "one.json"
    strategies.save(one, path)
    lines = [line.split() for line in shows("show", path).splitlines()]
    for words in (
        "name one [bold]",
        "scheduler DDIMScheduler",
        "tome.stride 2",
        "0 - ratio 0.5",
        "1-2 depth 1 ratio 0.5",
        "3 depth 1 -",
        "4 - -",
        "5 depth 0 -",  # Nothing runs there, so its ratio is dead.
        "scores.speedup 2.12346",
        "scores.intervals.fd [1, 2]",
        "provenance.model tiny-sd",
    ):
        assert words.split() in lines
    data = json.loads(shows_json("show", path))
    assert data["spans"][1] == {
        "first": 1,
        "last": 2,
        "deepcache": {"depth": 1},
        "tome": {"ratio": 0.5},
    }
    assert strategies.parse(json.dumps({k: data[k] for k in one.to_json()})) == one


def test_a_file_cannot_write_to_the_terminal(tmp_path: Path) -> None:
    path = tmp_path / "bad.json"
    strategies.save(made({}, name="\x1b[31mred", provenance={"\x1b": "\x9b0m\n"}), path)
    for command in ("show", "list"):
        out = shows(command, path)
        assert "\x9b" not in out
    assert "\\x1b[31mred" in shows("show", path)


def test_show_says_of_a_rule_that_it_fits_any_run() -> None:
    shown = " ".join(shows("show", "deepcache-n3").split())
    assert "rule for unet; fits any solver and number of steps" in shown
    assert "fits any" not in shows("show", "dato-b1")


def test_methods_documents_every_knob() -> None:
    out = shows("methods")
    for name, kind in strategies.registered_methods().items():
        assert f"{name}: " in out
        for knob, field in kind.model_fields.items():
            assert f"\n  {knob} " in out
            assert field.description, f"{name}.{knob} has no description"
            assert " ".join(field.description.split()[:3]) in out
    one = " ".join(shows("methods", "dato").split())
    assert "ratio per call; number from 0 to below 1; required; neutral 0.0" in one
    assert "patch global; whole number from 2 to 8; default 2" in one
    assert 'recover global; "base" or "kept"; default "base"' in one
    assert "to below 2147483648" in one
    assert "tome:" not in one
    assert "{name: [whole number, ...]}; default {}" in shows("methods", "blockcache")
    assert 'whole number or "full"; required; neutral "full"' in shows("methods", "deepcache")
    assert "whole number from 1 or null; default null" in shows("methods", "tgate")
    data = json.loads(shows_json("methods", "catome"))
    assert data[0]["knobs"][0]["neutral"] == 1.0
    assert data[0]["families"] == ["unet"]


def test_validate_has_a_line_for_each_file(tmp_path: Path) -> None:
    good, bad = tmp_path / "good.json", tmp_path / "bad.json"
    strategies.save(made({}), good)
    bad.write_text('{"schema": 1, "family": "unet"}')
    code, out, err = run("validate", good, bad, "tome-0.5", tmp_path / "none.json")
    assert (code, err) == (1, "")
    lines = out.splitlines()
    assert len(lines) == 4
    assert lines[0] == f"{good}: ok, DDIMScheduler, 6 steps, 6 calls"
    assert lines[1] == f"{bad}: scheduler is missing"
    assert lines[2].startswith("tome-0.5: ok")
    assert "no such file" in lines[3]
    assert run("validate", good, "dato-b1")[0] == 0


def test_resample_writes_what_the_record_does(tmp_path: Path) -> None:
    before = strategies.load("dato-b1")
    code, out, _ = run("resample", "dato-b1", "--steps", 20)
    after = strategies.parse(out)
    assert code == 0
    assert after.digest == before.resample(steps=20).digest
    assert (after.steps, after.calls) == (20, 21)
    assert after.provenance["resampled_from"] == {
        "digest": before.digest,
        "scheduler": "PNDMScheduler",
        "steps": 50,
        "calls": 51,
    }
    assert after.provenance["paper"] == before.provenance["paper"]
    path = tmp_path / "x.json"
    arguments = ["--calls", 20, "--steps", 20, "--scheduler", "DDIMScheduler", "--out", path]
    code, out, _ = run("resample", "dato-b1", *arguments)
    assert out == f"{path}: DDIMScheduler, 20 steps, 20 calls\n"
    one = strategies.load(path)
    assert (one.scheduler, one.steps, one.calls) == ("DDIMScheduler", 20, 20)


@settings(deadline=None, max_examples=50)
@given(any_strategy(), st.integers(0, 30))
def test_resampled_up_and_back_is_the_same(one: Strategy, more: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        here, longer, back = (Path(folder) / name for name in ("a.json", "b.json", "c.json"))
        strategies.save(one, here)
        for source, calls, target in ((here, one.calls + more, longer), (longer, one.calls, back)):
            assert run("resample", source, "--calls", calls, "--out", target)[0] == 0
        again = strategies.load(back)
        code, out, _ = run("diff", here, back)
    assert code == (again.digest != one.digest)
    # Events move to the next call that can see them, which is not always the one they came from.
    if set(one.methods) <= {"tome", "dato"}:
        assert (code, again.methods) == (0, one.methods)
        assert "resampled_from" in out


def test_diff_names_fields_and_calls(tmp_path: Path) -> None:
    code, out, err = run("diff", "deepcache-n5", "deepcache-n5-tome-0.5")
    assert (code, err) == (1, "")
    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert "tome at 0-50 - ratio 0.5" in lines
    assert "methods.tome absent present" in lines
    assert not any(line.startswith("deepcache at") for line in lines)
    code, out, _ = run("diff", "deepcache-n5", "deepcache-n10")
    assert code == 1
    lines = [" ".join(line.split()) for line in out.splitlines()]
    at = lines.index("deepcache at 5, 15, 25, - depth 1")  # One row for all calls that differ.
    assert lines[at + 1] == "35, 45"
    assert sum("deepcache at" in line for line in lines) == 1
    path = tmp_path / "short.json"
    strategies.save(strategies.load("tome-0.5").resample(calls=6), path)
    code, out, _ = run("diff", path, "tome-0.5")
    assert code == 1
    assert ["calls", "6", "51"] in [line.split() for line in out.splitlines()]
    assert "resample one" in out


def test_diff_says_when_two_files_mean_the_same(tmp_path: Path) -> None:
    dead = {"deepcache": {"depth": [3, 1, "full", 1, 1, 1]}, "tome": {"ratio": 0}}
    live = {"deepcache": {"depth": ["full", 1, "full", 1, 1, 1]}}
    one, other = tmp_path / "one.json", tmp_path / "other.json"
    strategies.save(made(dead), one)
    strategies.save(made(live), other)
    code, out, _ = run("diff", one, other)
    assert code == 0
    assert out.startswith("They mean the same (digest ")
    strategies.save(made(live, name="other", scores={"fd": 1.5}), other)
    code, out, _ = run("diff", one, other)
    assert code == 0
    assert "only what is listed above differs" in out
    assert ["scores.fd", "absent", "1.5"] in [line.split() for line in out.splitlines()]


def test_bad_input_is_one_clear_line(tmp_path: Path) -> None:
    assert "no such preset" in fails("show", "dato-z9")
    assert "method 'warp' is unknown; there are atedm, blockcache" in fails("methods", "warp")
    assert "--calls, --steps or --scheduler" in fails("resample", "dato-b1")
    assert "--calls is 0; give at least 1" in fails("resample", "dato-b1", "--calls", 0)
    (tmp_path / "file").touch()
    where = tmp_path / "file" / "x.json"
    assert "cannot be written" in fails("resample", "dato-b1", "--calls", 5, "--out", where)
    assert "not JSON" in fails("diff", "dato-b1", Path(__file__))
    with pytest.raises(SystemExit) as caught:
        main([])
    assert caught.value.code == 2


def test_the_commands_in_the_docs_are_accepted() -> None:
    text = "".join((ROOT / "docs" / f"{page}.md").read_text() for page in ("commands", "sharing"))
    commands = re.findall(r"^python -m strategies (.*)$", text, re.M)
    assert {command.split()[0] for command in commands} == {
        "list", "show", "methods", "validate", "resample", "diff", "export", "import", "push",
        "pull",
    }  # fmt: skip
    for command in commands:
        parser().parse_args(shlex.split(command, comments=True))


def test_the_module_runs_without_torch() -> None:
    code = (
        "import sys; from strategies.cli import main; main(['list']);"
        "print(sorted({'torch', 'diffusers', 'numpy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
    module = [sys.executable, "-m", "strategies", "validate", "dato-b1", "none"]
    done = subprocess.run(module, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 1
