"""The base installation is the sampler; what else is missing is one line that names an extra."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from strategies.commands import extras
from tests.support.paths import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
FORMER = ROOT / "tests/search/run_folder/former_runs/tiny-sd"
# torch brings the other two along.
ABSENT = sorted({*extras.LIBRARIES["search"]} - {"jinja2", "filelock"})
# A finder that does not find what the base installation lacks, as if it were not there.
HIDING = f"""
import sys
from importlib.machinery import PathFinder

class Base(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        absent = name.partition(".")[0] in {ABSENT}
        return None if absent else PathFinder.find_spec(name, path, target)

sys.meta_path[sys.meta_path.index(PathFinder)] = Base
"""
SAMPLER = """
import accel, zoo
from strategies.commands.extras import MissingExtraError
pipe = zoo.load("tiny-sd")
with accel.accelerated(pipe, "examples/tiny-sd-no-loss.json") as fast:
    image = fast("a large red circle").images[0]
    assert [record.depth for record in accel.stats(pipe)][-1] == 1
from accel import cli
assert cli.main(["generate", "--strategy", "deepcache-n2", "--resample-steps", "2", "--prompt", "a",
                 "--out", sys.argv[1] + "/x.png"]) == 0
from strategies.commands.interrupts import guarded
def told(module, *words):
    sys.argv = ["x", *words]
    print(f"{module} {' '.join(words)}: {guarded(module)}", file=sys.stderr)
told("strategies.cli", "list")
told("evaluate.cli", "--strategy", "deepcache-n2")
told("search.cli", "--dry-run")
told("search.cli", "status", RUN)
import evaluate
try:
    evaluate.Evaluator
except MissingExtraError as error:
    print("in Python:", error, file=sys.stderr)
loaded = sorted(set(OPTIONAL) & {name.partition(".")[0] for name in sys.modules})
print("loaded:", *loaded, file=sys.stderr)
"""


def test_the_sampler_works_without_the_rest(tmp_path: Path) -> None:
    code = f"{HIDING}\nRUN, OPTIONAL = {str(FORMER)!r}, {ABSENT}\n{SAMPLER}"
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "x.png").is_file()
    lines = done.stderr.splitlines()
    assert "loaded:" in lines
    assert "Traceback" not in done.stderr
    assert "strategies.cli list: 0" in lines
    for command, extra in (
        ("evaluate.cli --strategy deepcache-n2", "evaluate"),
        ("search.cli --dry-run", "search"),
        (f"search.cli status {FORMER}", "report"),
    ):
        told = lines[lines.index(f"{command}: 2") - 1]
        assert re.fullmatch(
            rf"error: the package \w+ is not installed; pip install "
            rf"'diffusion-stratagem\[{extra}\]', or 'diffusion-stratagem\[all\]' for everything",
            told,
        ), told
    (told,) = [one for one in lines if one.startswith("in Python: ")]
    assert "'diffusion-stratagem[evaluate]'" in told


def test_the_base_has_few_requirements() -> None:
    names = {re.split(r"[<>=\[]", one)[0] for one in PROJECT["dependencies"]}
    assert len(names - {"torch"}) <= 12
    assert not names & {"ray", "pymoo", "optuna", "plotly", "pandas"}
    optional = PROJECT["optional-dependencies"]
    assert {"evaluate", "search", "report", "all"} <= set(optional)
    for extra in ("evaluate", "report"):
        listed = {re.split(r"[<>=\[]", one)[0] for one in optional[extra]}
        homes = {"sklearn": "scikit-learn", "cleanfid": "clean-fid"}
        assert {homes.get(name, name) for name in extras.LIBRARIES[extra]} == listed
    assert optional["search"][0] == "diffusion-stratagem[evaluate,report]"
    assert optional["all"] == ["diffusion-stratagem[evaluate,report,search]"]


def console(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """The console command, run from a project with packages of our names."""
    code = "import sys; sys.argv[0] = 'stratagem'; sys.path = [p for p in sys.path if p != '']\n"
    code += "from strategies.commands.console import main; main()"
    return subprocess.run(
        [sys.executable, "-P", "-c", code, *words],
        capture_output=True,
        text=True,
        cwd=cwd,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project of a user, with packages called as ours are."""
    for name in ("configs", "zoo", "search", "evaluate", "strategies"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise RuntimeError('the wrong one')\n")
    return tmp_path


def test_the_console_command(project: Path) -> None:
    help_text = console("--help", cwd=project)
    assert help_text.returncode == 0
    assert all(f"  {name} " in help_text.stdout for name in ("search", "generate", "pick"))
    space = console("strategies", "space", "--model", "sdxl", "--json", cwd=project)
    assert (space.returncode, space.stderr) == (0, "")
    assert '"family": "unet"' in space.stdout
    front = console("front", str(FORMER), cwd=project)
    assert front.returncode == 0, front.stderr
    wrong = console("serach", cwd=project)
    assert wrong.returncode == 2
    assert wrong.stderr.endswith("did you mean 'search'?\n")
    assert len(wrong.stderr.splitlines()) == 1
