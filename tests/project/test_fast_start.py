"""Reading a run, listing presets and asking for help need neither torch nor diffusers."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.paths import ROOT

RUN = ROOT / "tests/search/run_folder/former_runs/tiny-sd"
HEAVY = (
    *("torch", "diffusers", "transformers", "sklearn", "scipy", "pandas", "ray", "pymoo"),
    "sqlalchemy",  # Only for a study in a database.
)
CODE = f"""
import runpy, sys
sys.argv = sys.argv[1:]
try:
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
except SystemExit as end:
    assert not end.code, end.code
print("loaded:", *sorted(set({HEAVY}) & set(sys.modules)))
"""


@pytest.mark.parametrize(
    "words",
    [
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
    ],
)
def test_what_only_reads_loads_no_heavy_library(words: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CODE, *words.split()], capture_output=True, text=True, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "loaded:"


def test_a_report_is_written_without_torch(tmp_path: Path) -> None:
    words = ["search", "report", str(RUN), "--out", str(tmp_path)]
    done = subprocess.run(
        [sys.executable, "-c", CODE, *words], capture_output=True, text=True, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "report.html").stat().st_size > 100_000
    loaded = done.stdout.splitlines()[-1].split()[1:]
    assert not {"torch", "diffusers", "transformers", "ray"} & set(loaded)
