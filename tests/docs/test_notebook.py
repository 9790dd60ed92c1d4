"""The notebook of `examples/` runs from its first cell to its last, with a smaller search."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.paths import ROOT

NOTEBOOK = ROOT / "examples" / "search.ipynb"
SMALL = ["--budget", "3evals", "--workers", "0", "--images", "4", "--heldout-images", "4"]


@pytest.mark.slow
def test_the_notebook_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    cells = json.loads(NOTEBOOK.read_text("utf-8"))["cells"]
    settings, *others = ["".join(c["source"]) for c in cells if c["cell_type"] == "code"]
    names: dict[str, Any] = {}
    exec(settings, names)
    assert names["FLAGS"][:1] == ["--budget"]
    names["FLAGS"] = [*SMALL, "--export", "2", "--initial", "fewer-steps"]
    for source in others:
        exec(source, names)
    assert names["fast"].size == names["plain"].size
    assert (names["RUN"] / "report.html").is_file()


def test_the_notebook_is_kept_without_outputs() -> None:
    for cell in json.loads(NOTEBOOK.read_text("utf-8"))["cells"]:
        assert not cell.get("outputs")
        if cell["cell_type"] == "code":
            compile("".join(cell["source"]), NOTEBOOK.name, "exec")
