"""Reading a run, listing presets and asking for help need neither torch nor diffusers."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.paths import ROOT

RUN = ROOT / "tests/search/run_folder/former_runs/tiny-sd"
HEAVY = (
    *("torch", "diffusers", "transformers", "sklearn", "scipy", "pandas", "ray", "pymoo"),
    "sqlalchemy",  # Only for a study in a database.
)
# Command lines in one process, in turn: by each the libraries that are loaded after it.
CODE = f"""
import json, runpy, sys
lines, loaded = json.loads(sys.argv[1]), {{}}
for line in lines:
    sys.argv = line.split()
    try:
        runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
    except SystemExit as end:
        assert not end.code, end.code
    loaded[line] = sorted(set({HEAVY}) & set(sys.modules))
print(json.dumps(loaded))
"""
READING = [
    "search --help",
    "search status --help",
    "search report --help",
    "search plot --help",
    "search export --help",
    f"search status {RUN}",
    f"search front {RUN}",
    "strategies list",
    "accel --help",
    "accel generate --help",
    "evaluate --help",
    "evaluate transfer --help",
]


MISTAKES = {
    "accel generate --prompt x --out x.png --strategy deepcash-n3": "did you mean",
    "accel generate --prompt x --out x.png --strategy none.json": "no such file",
    "accel generate --prompt x --out x.png --strategy fora-n3 --model tiny-sb": "did you mean",
    "accel generate --prompt x --out x.txt --strategy fora-n3": "not the name of an image file",
    "accel calibrate --prompt x --out x.json --model tiny-sb": "did you mean",
    "evaluate --strategy deepcash-n3": "did you mean",
    "evaluate --strategy deepcache-n3 --model tiny-sb": "did you mean",
    "evaluate --strategy deepcache-n3 --metrics psmr": "did you mean",
    "evaluate --strategy deepcache-n3 --margin fid": "give NAME=VALUE",
    "evaluate transfer deepcash-n3 --to tiny-sd": "did you mean",
    "search --model tiny-sb": "did you mean",
}


def libraries(*lines: str) -> dict[str, list[str]]:
    """Heavy libraries that are loaded after each command line."""
    words = [sys.executable, "-c", CODE, json.dumps(lines)]
    done = subprocess.run(words, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    found: dict[str, list[str]] = json.loads(done.stdout.splitlines()[-1])
    return found


@dataclass(frozen=True)
class Loaded:
    """The libraries after each command line, of which the last one writes a report."""

    libraries: dict[str, list[str]]
    folder: Path


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    folder = tmp_path_factory.mktemp("report")
    return Loaded(libraries(*READING, f"search report {RUN} --out {folder}"), folder)


@pytest.mark.parametrize("line", READING)
def test_what_only_reads_loads_no_heavy_library(line: str, loaded: Loaded) -> None:
    assert loaded.libraries[line] == []


def test_a_misspelt_name_is_told_before_torch_is_imported() -> None:
    code = CODE.replace("assert not end.code, end.code", "assert end.code == 2, end.code")
    words = [sys.executable, "-c", code, json.dumps([*MISTAKES])]
    done = subprocess.run(words, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    loaded = json.loads(done.stdout.splitlines()[-1])
    assert {line: loaded[line] for line in MISTAKES if loaded[line]} == {}
    errors = done.stderr.splitlines()
    assert len(errors) == len(MISTAKES), done.stderr
    for (line, hint), error in zip(MISTAKES.items(), errors, strict=True):
        assert error.startswith("error: "), line
        assert hint in error, line


def test_a_report_is_written_without_torch(loaded: Loaded) -> None:
    assert (loaded.folder / "report.html").stat().st_size > 100_000
    (found,) = [names for line, names in loaded.libraries.items() if "search report /" in line]
    assert not {"torch", "diffusers", "transformers", "ray"} & set(found)
