"""The wheel holds everything it needs, and works from any folder."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import yaml

import strategies
from evaluate import fingerprint
from tests.support.paths import ROOT

# Unfinished trainings, which only their own command reads.
LEFT_OUT = "zoo/snapshots/"
PACKAGES = ("accel", "configs", "evaluate", "search", "strategies", "zoo")


def package_files(root: Path) -> dict[str, Path]:
    """Everything in the packages, code and data, by its name in a wheel."""
    found = (path for name in PACKAGES for path in (root / name).rglob("*") if path.is_file())
    files = {one.relative_to(root).as_posix(): one for one in found if one.suffix != ".pyc"}
    files = {name: one for name, one in files.items() if not name.startswith(LEFT_OUT)}
    assert "zoo/models/tiny-sd/unet/diffusion_pytorch_model.safetensors" in files
    return files


def test_an_installed_wheel_finds_its_data(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", str(ROOT), "--no-deps", "--no-build-isolation",
         "--quiet", "--wheel-dir", str(tmp_path)],
        check=True,
    )  # fmt: skip
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        (entries,) = [name for name in names if name.endswith("entry_points.txt")]
        assert b"stratagem = strategies.commands.console:main" in archive.read(entries)
        for name, path in package_files(ROOT).items():
            assert archive.read(name) == path.read_bytes(), name
        archive.extractall(tmp_path / "site")
    assert not [name for name in names if name.startswith(("tests/", "benchmarks/", LEFT_OUT))]
    code = (
        "import strategies, accel, evaluate, zoo, search, pathlib;"
        "assert 'site' in evaluate.__file__, evaluate.__file__;"
        "print(strategies.load('dato-b1').name, len(strategies.presets()));"
        "print(evaluate.available(), zoo.load);"
        "from search.results.report.render import SCRIPTS, template_text;"
        "assert all(map(template_text, ['page.html', 'report.css', *SCRIPTS]));"
        "from evaluate.images.recorded_prompts import find_prompts;"
        "print(find_prompts(evaluate.read_model('tiny-sd').search_prompts, 1).texts[0]);"
        "print(zoo.folder('tiny-sd'))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path / "site"), "PATH": "/usr/bin"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith(f"{tmp_path / 'site' / 'zoo' / 'models' / 'tiny-sd'}\n")
    assert f"dato-b1 {len(strategies.presets())}" in done.stdout


def test_a_release_has_one_version() -> None:
    """CONTRIBUTING.md: the version of the package, of the citation and on top of the changelog."""
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"] == version
    released = re.findall(r"^## (\d+\.\d+\.\d+)", (ROOT / "CHANGELOG.md").read_text(), re.M)
    assert released[0] == version
    assert fingerprint.SAME_SINCE in released
    kinds = re.findall(r"^### (.*)$", (ROOT / "CHANGELOG.md").read_text(), re.M)
    assert set(kinds) <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


def test_strategies_import_without_heavy_packages() -> None:
    code = (
        "import sys, strategies;"
        "print(sorted({'torch', 'diffusers', 'ray', 'pymoo', 'optuna'} & set(sys.modules)))"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"


def test_the_sampler_imports_without_the_search() -> None:
    code = "import sys, accel; print(sorted({'ray', 'pymoo', 'optuna'} & set(sys.modules)))"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"
