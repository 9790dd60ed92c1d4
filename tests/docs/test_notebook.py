"""The notebook of `examples/` runs from its first cell to its last, with a smaller search."""

from __future__ import annotations

import json
import re
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


def test_the_notebook_has_its_outputs() -> None:
    """Those of one run from the first cell to the last, without paths or colours of a terminal."""
    text = NOTEBOOK.read_text("utf-8")
    assert len(text) < 400_000
    assert not re.search(r"/(?:home|root|tmp|usr|work)/|\\u001b", text)
    cells = [one for one in json.loads(text)["cells"] if one["cell_type"] == "code"]
    assert [one["execution_count"] for one in cells] == list(range(1, len(cells) + 1))
    assert all(one["outputs"] for one in cells[1:])
    assert not any(out["output_type"] == "error" for one in cells for out in one["outputs"])
    for cell in cells:
        compile("".join(cell["source"]), NOTEBOOK.name, "exec")
