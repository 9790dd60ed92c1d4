"""The packages import in one direction, and heavy libraries have one home each."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

from tests.support.paths import ROOT

ALLOWED = {
    "strategies": {"strategies"},
    "accel": {"strategies", "zoo", "accel"},
    "zoo": {"strategies", "zoo"},
    "evaluate": {"strategies", "accel", "zoo", "evaluate"},
    "search": {"strategies", "accel", "zoo", "evaluate", "search"},
}
HEAVY = {"torch", "diffusers", "ray", "pymoo", "optuna", "pandas", "matplotlib"}


@cache
def imports(path: Path) -> set[str]:
    """Top-level packages that a file imports anywhere."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add((node.module or "").split(".")[0])
    return found


def files(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


@pytest.mark.parametrize("package", ALLOWED)
def test_imports_go_one_way(package: str) -> None:
    assert files(package)
    for path in files(package):
        ours = imports(path) & set(ALLOWED)
        assert ours <= ALLOWED[package], f"{path} imports {ours - ALLOWED[package]}"


def test_strategies_are_light() -> None:
    for path in files("strategies"):
        assert not imports(path) & HEAVY, path


@pytest.mark.parametrize(
    ("library", "homes"),
    [
        ("pymoo", ["pymoo_adapter.py"]),
        ("ray", ["ray_backend.py", "ray_calls.py", "ray_runtime.py"]),
        # The study's storage, and the baselines.
        (
            "optuna",
            [
                "database.py",
                "journal.py",
                "opening.py",
                "optuna_samplers.py",
                "study.py",
                "trial_columns.py",
            ],
        ),
        ("sqlalchemy", ["database.py"]),
        ("plotly", ["render.py"]),
        ("jinja2", ["render.py"]),
        ("mlflow", ["mlflow_tracker.py"]),
        ("wandb", ["wandb_tracker.py"]),
        ("gradio", ["page.py"]),
    ],
)
def test_few_files_import(library: str, homes: list[str]) -> None:
    users = [path.name for name in ALLOWED for path in files(name) if library in imports(path)]
    assert sorted(users) == homes


@pytest.mark.parametrize("package", [*ALLOWED, "benchmarks", "tests", "examples", "integrations"])
def test_files_say_what_they_are_for_and_stay_small(package: str) -> None:
    for path in files(package):
        text = path.read_text()
        needs_none = package == "tests" and path.name == "__init__.py"
        assert needs_none or ast.get_docstring(ast.parse(text)), f"{path} has no docstring"
        assert text.count("\n") <= 300, f"{path} is too long"


def test_no_pickle() -> None:
    for package in ALLOWED:
        for path in files(package):
            assert not imports(path) & {"pickle", "dill", "cloudpickle", "joblib"}, path
            assert "torch.load(" not in path.read_text(), path
