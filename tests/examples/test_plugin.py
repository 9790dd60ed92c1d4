"""The metric of the example plug-in, through its own entry point."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
import tomllib
from pathlib import Path

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
    from evaluate import cli
    from evaluate.metrics import METRICS
    from search.objectives.objectives import Objectives
    code = cli.main(sys.argv[1:])
    found = Objectives.create(["edge_error", "latency_s"], {}, {"edge_error": 0, "latency_s": 2})
    scale = METRICS["edge-error"].scale
    print(json.dumps([code, scale, found.reference_point[0], found.unscaled]))
"""


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


def test_evaluate_and_a_search_take_the_metric(tmp_path: Path) -> None:
    groups = {name.removeprefix("stratagem."): group for name, group in ENTRIES.items()}
    assert set(groups) == {"methods", "metrics"}
    plugins.declare(tmp_path, "stratagem-todo", groups)
    build("sd1").save_pretrained(tmp_path / "model")
    one = strategy({"deepcache": {"depth": ["full", 1, 1, "full"]}}, 4)
    strategies.save(one, tmp_path / "one.json")
    words = (
        f"--model {tmp_path / 'model'} --strategy {tmp_path / 'one.json'} --images 2 --repeats 0 "
        "--metrics psnr,edge-error --device cpu --base-scheduler DDIMScheduler --base-steps 4 "
        f"--size 32 --json={tmp_path / 'found.json'}"
    )
    place = os.pathsep.join(map(str, (ROOT, tmp_path, FOLDER)))
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(USE), *words.split()],
        capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": place, "STRATAGEM_CACHE": str(tmp_path / "cache")},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == [0, 32.0, 32.0, [True, False]]
    assert "edge error" in done.stdout
    plain, fast = json.loads((tmp_path / "found.json").read_text())["rows"]
    assert plain["edge_error"] == 0
    assert 0 < fast["edge_error"] < 32
