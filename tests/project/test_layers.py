"""Inside a package, sub-packages import in one direction, and no file is hard to find."""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Iterator
from pathlib import Path

import pytest

from tests.support.paths import ROOT

OURS = {"strategies", "accel", "evaluate", "search", "zoo", "configs"}
# Every part of a package imports only parts of the lines above its own.
LAYERS = {
    "search": [
        {"interruption", "errors", "portable_paths", "pareto", "budget", "spaces"},
        {"objectives"},
        {"workers"},
        {"study"},
        {"initial"},
        {"surrogate"},
        {"proposers"},
        {"tracking"},
        {"config"},
        {"results"},
        {"run_folder"},
        {"images"},
        {"costs"},
        {"finalists"},
        {"engine"},
        {"ship", "viewing"},
        {"commands"},
        {"cli"},
        {"__main__"},
    ],
    "evaluate": [
        {"statistics", "array_files"},
        {"networks"},
        {"image_set", "fingerprint"},
        {"model_files"},
        {"images", "metrics"},
        {"extraction", "checks", "verdicts", "speed"},
        {"scoring"},
        {"evaluator"},
        {"comparison"},
        {"comparison_table", "transfer"},
        {"commands"},
        {"cli"},
        {"__main__"},
    ],
    "strategies": [
        {"text"},
        {"errors", "words"},
        {"plugins", "data_files"},
        {"knobs", "schedules", "solver_settings", "step_masks"},
        {"halves", "solvers"},
        {"methods"},
        {"method_reading"},
        {"strategy"},
        {"rules"},
        {"files", "transfer", "describe"},
        {"genomes"},
        {"sharing", "exchange"},
        {"commands"},
        {"cli"},
        {"__main__"},
    ],
    "accel": [
        {"stack"},
        {"sites", "call_records", "moments", "token_selection", "registry"},
        {"patching", "profiling"},
        {"pipelines"},
        {"clock"},
        {"compatibility"},
        {"caching"},
        {"tokens"},
        {"solvers"},
        {"families"},
        {"method"},
        {"methods"},
        {"sampler"},
        {"choices"},
        {"applying"},
        {"block_changes"},
        {"models"},
        {"commands"},
        {"cli"},
        {"__main__"},
    ],
}
# Imports that still go up, file and part; a line may only be taken out.
UPWARD: set[tuple[str, str]] = set()
# Files that still import own packages for annotations alone; a line may only be taken out.
ANNOTATED: set[str] = set()
CROWD = 16  # Files of a folder, beside its `__init__` and its sub-folders.


def files(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def own_imports(path: Path, package: str, parts: Collection[str]) -> Iterator[str]:
    """Parts of `package` that a file imports, wherever in the file.

    What the package's `__init__` itself defines is no part.
    """
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            first, *rest = node.module.split(".")
            if first == package:
                names = rest[:1] or [alias.name for alias in node.names]
                yield from (name for name in names if rest or name in parts)


@pytest.mark.parametrize("package", LAYERS)
def test_sub_packages_import_in_one_direction(package: str) -> None:
    rank = {part: number for number, parts in enumerate(LAYERS[package]) for part in parts}
    upward = set()
    for path in files(package):
        here = path.relative_to(ROOT / package).parts[0].removesuffix(".py")
        if here == "__init__":  # The public face: it names what stands anywhere below it.
            continue
        for there in own_imports(path, package, rank):
            if there != here and rank[there] >= rank[here]:
                upward.add((path.relative_to(ROOT).as_posix(), there))
    known = {row for row in UPWARD if row[0].startswith(f"{package}/")}
    assert not upward - known, "these import upwards"
    assert not known - upward, "take these out of UPWARD"


def test_no_import_for_annotations_alone() -> None:
    # The public packages import what they export when it is asked for.
    lazy = {ROOT / package / "__init__.py" for package in OURS}
    found = set()
    for package in OURS:
        for path in set(files(package)) - lazy:
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
                    inner = [one for one in ast.walk(node) if isinstance(one, ast.ImportFrom)]
                    if {(one.module or "").split(".")[0] for one in inner} & OURS:
                        found.add(path.relative_to(ROOT).as_posix())
    assert not found - ANNOTATED, "pass what is used, so that its type can be imported"
    assert not ANNOTATED - found, "take these out of ANNOTATED"


KEYED = {"noted", "note", "named"}  # Methods of a study that take the key of a note.


def test_only_the_study_knows_the_keys_of_its_notes() -> None:
    """Everything else reads `Measurements`, `FinalistNotes` and `RunNotes`, which have types."""
    keyed = {
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in files("search")
        if path.parent.name != "study"
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
        if node.func.attr in KEYED and ast.unparse(node.func.value).endswith("study")
    }
    assert not keyed


@pytest.mark.parametrize("package", [*LAYERS, "zoo", "tests", "benchmarks"])
def test_folders_are_not_crowded(package: str) -> None:
    folders = {path.parent for path in files(package)}
    crowded = {
        folder: len(names)
        for folder in folders
        if len(names := [one for one in folder.glob("*.py") if one.name != "__init__.py"]) > CROWD
    }
    assert not crowded


PATH = re.compile(r"`((?:strategies|accel|evaluate|search|zoo|tests|benchmarks)/[\w/]+\.py)")
EXAMPLE = "x.py"  # Stands for a file of the reader's own.


def test_pages_name_files_that_are_there() -> None:
    named = {
        name
        for page in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
        for name in PATH.findall(page.read_text("utf-8"))
    }
    assert "search/engine/loop.py" in named
    assert not [name for name in named if not (ROOT / name).is_file() and EXAMPLE not in name]


DEFINED = re.compile(r"`([\w.]+)` of `((?:strategies|accel|evaluate|search|zoo)/[\w/]+\.py)`")


def definitions(path: Path) -> set[str]:
    """Functions, classes and constants of a file, and `Class.method`."""
    found = set()
    for node in ast.parse(path.read_text("utf-8")).body:
        names = node.targets if isinstance(node, ast.Assign) else [node]
        found |= {one.id for one in names if isinstance(one, ast.Name)}
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        if isinstance(node, ast.ClassDef):
            inner = [one.name for one in node.body if isinstance(one, ast.FunctionDef)]
            found |= {name for one in inner for name in (one, f"{node.name}.{one}")}
    return found


def test_pages_name_functions_where_they_are() -> None:
    told = [
        pair
        for page in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
        for pair in DEFINED.findall(page.read_text("utf-8"))
    ]
    assert ("propose", "search/proposers/generation_strategy.py") in told
    assert not [(name, path) for name, path in told if name not in definitions(ROOT / path)]
