"""The metric of the example plug-in, through its own entry point, in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import strategies
from tests.support import plugins
from tests.support.paths import ROOT
from tests.support.pipelines.unet_pipelines import build, strategy

FOLDER = ROOT / "examples" / "plugin"
ENTRIES = tomllib.loads((FOLDER / "pyproject.toml").read_text("utf-8"))["project"]["entry-points"]
USE = """
    import json, sys
    import accel.applying, accel.commands.generate_command
    import evaluate.commands.score, search.commands.session
    pipelines = [name for name in sys.modules if name.startswith("diffusers.pipelines.")]
    from evaluate import cli
    from evaluate.metrics import METRICS
    from search.objectives.objectives import Objectives
    code = cli.main(sys.argv[1:])
    found = Objectives.create(["edge_error", "latency_s"], {}, {"edge_error": 0, "latency_s": 2})
    scale = METRICS["edge-error"].scale
    told = [code, scale, found.reference_point[0], found.unscaled]
    print(json.dumps({"told": told, "pipelines": pipelines}))
"""


@dataclass(frozen=True)
class Used:
    """What the process has written: its files, its table, and what it tells of itself."""

    folder: Path
    shown: str
    told: dict[str, Any]


@pytest.fixture(scope="module")
def used(tmp_path_factory: pytest.TempPathFactory) -> Used:
    """One process for both tests: it takes long to import everything."""
    folder = tmp_path_factory.mktemp("used")
    groups = {name.removeprefix("stratagem."): group for name, group in ENTRIES.items()}
    assert set(groups) == {"methods", "metrics"}
    plugins.declare(folder, "stratagem-todo", groups)
    build("sd1").save_pretrained(folder / "model")
    one = strategy({"deepcache": {"depth": ["full", 1, 1, "full"]}}, 4)
    strategies.save(one, folder / "one.json")
    words = (
        f"--model {folder / 'model'} --strategy {folder / 'one.json'} --images 2 --repeats 0 "
        "--metrics psnr,edge-error --device cpu --base-scheduler DDIMScheduler --base-steps 4 "
        f"--size 32 --json={folder / 'found.json'}"
    )
    place = os.pathsep.join(map(str, (ROOT, folder, FOLDER)))
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(USE), *words.split()],
        capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": place, "STRATAGEM_CACHE": str(folder / "cache")},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return Used(folder, done.stdout, json.loads(done.stdout.splitlines()[-1]))


def test_the_metric_compares_gradients(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(FOLDER)
    from stratagem_todo.edge_error import edge_error  # type: ignore[import-not-found]

    base = np.zeros((8, 8, 3), np.uint8)
    lighter = base + 50
    edge = base.copy()
    edge[:, 4:] = 70
    assert edge_error(base, base) == edge_error(lighter, base) == 0
    assert edge_error(edge, base) == pytest.approx(70 / 7 / 2)  # One of seven steps of each row.
    assert edge_error(edge, base) == edge_error(base, edge) == edge_error(edge, lighter)


def test_evaluate_and_a_search_take_the_metric(used: Used) -> None:
    assert used.told["told"] == [0, 32.0, 32.0, [True, False]]
    assert "edge error" in used.shown
    plain, fast = json.loads((used.folder / "found.json").read_text())["rows"]
    assert plain["edge_error"] == 0
    assert 0 < fast["edge_error"] < 32


def test_commands_load_no_pipeline_that_they_do_not_use(used: Used) -> None:
    """Those of diffusers import optional packages, and warn where one is missing."""
    found = [name for name in used.told["pipelines"] if ".pipeline_" in name]
    assert found
    shared = ("pipeline_utils", "pipeline_loading_utils", "pipeline_output")
    assert [name for name in found if not name.endswith(shared)] == []
