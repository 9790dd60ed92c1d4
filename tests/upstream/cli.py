"""`python -m tests.upstream CHECKOUT [FOLDER ...]`: counts of diffusers' own tests, by strategy.

CHECKOUT is a checkout of diffusers, best at the tag of the installed version. Its tests run three
times offline: as they are, with a strategy that changes nothing on every call of a supported
pipeline, and with one that reuses features at every other call. The exit code is 1 where a test
that passes without a strategy does not pass with the neutral one.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from tests.upstream.stratagem_upstream import MODES, PLUGIN, REPORT, STRATEGY

ROOT = Path(__file__).parent.parent.parent
FOLDERS = (
    "stable_diffusion",
    "stable_diffusion_2",
    "stable_diffusion_xl",
    "controlnet",
    "controlnet_flux",
    "controlnet_sd3",
    "pag",
    "dit",
    "pixart_alpha",
    "pixart_sigma",
    "stable_diffusion_3",
    "flux",
)
Results = dict[str, dict[str, Any]]


def main() -> int:
    """Run the command line; returns the exit code."""
    given = parser().parse_args()
    tests = given.checkout.resolve() / "tests" / "pipelines"
    if not tests.is_dir():
        parser().error(f"{given.checkout} has no tests/pipelines; give a checkout of diffusers")
    unknown = [name for name in given.folders if not (tests / name).is_dir()]
    if unknown:
        parser().error(f"there is no tests/pipelines/{unknown[0]} in {given.checkout}")
    modes = given.only or list(MODES)
    broken = 0
    for folder in given.folders or [name for name in FOLDERS if (tests / name).is_dir()]:
        found = {mode: run(given.checkout.resolve(), folder, mode, given.select) for mode in modes}
        broken += tell(folder, found)
    return 1 if broken else 0


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="python -m tests.upstream", description=__doc__)
    made.add_argument("checkout", type=Path, help="folder of a checkout of diffusers")
    made.add_argument("folders", nargs="*", help=f"of tests/pipelines (default: {len(FOLDERS)})")
    made.add_argument("--only", nargs="+", choices=MODES, help="these strategies alone")
    made.add_argument("-k", dest="select", default="", help="pytest's -k: which tests")
    return made


def run(checkout: Path, folder: str, mode: str, select: str) -> Results:
    """Outcomes of a folder's tests by their names, in a process of its own."""
    with tempfile.TemporaryDirectory() as place:
        report = Path(place) / "report.jsonl"
        paths = [
            str(ROOT),
            str(Path(__file__).parent),
            *filter(None, [os.environ.get("PYTHONPATH", "")]),
        ]
        environment = os.environ | {
            "PYTHONPATH": os.pathsep.join(paths),
            "HF_HUB_OFFLINE": "1",
            STRATEGY: mode,
            REPORT: str(report),
        }
        command = [sys.executable, "-m", "pytest", "-q", "-p", PLUGIN, "-p", "no:cacheprovider"]
        command += ["--tb=no", "--no-header", "--rootdir", str(checkout), "-o", "addopts="]
        command += ["-k", select] if select else []
        command.append(f"tests/pipelines/{folder}")
        done = subprocess.run(
            command, cwd=checkout, env=environment, check=False, capture_output=True, text=True
        )
        if done.returncode not in (0, 1):  # Passed, or some failed; else they did not run.
            raise SystemExit(
                f"{folder}, {mode}: the tests did not run; they need what diffusers' own "
                f"need, such as the package parameterized\n{done.stdout}{done.stderr}"
            )
        lines = report.read_text(encoding="utf-8").splitlines()
    return {entry["test"]: entry for entry in map(json.loads, lines)}


def tell(folder: str, found: dict[str, Results]) -> int:
    """Print the counts and what differs; returns how many tests the neutral strategy breaks."""
    broken = 0
    plain = found.get("none", {})
    for mode, results in found.items():
        counts = Counter(entry["outcome"] for entry in results.values())
        calls = sum(entry["accelerated"] for entry in results.values())
        shown = ", ".join(f"{counts[name]} {name}" for name in ("passed", "failed", "skipped"))
        print(f"{folder}, {mode}: {shown}; {calls} calls accelerated", flush=True)
        refused = Counter(reason for entry in results.values() for reason in entry["refused"])
        for reason, count in refused.most_common():
            print(f"    refused {count} times: {reason}")
        for test, entry in results.items():
            if mode == "none" or test not in plain:
                continue
            if entry["outcome"] != plain[test]["outcome"]:
                broken += mode == "neutral"
                before = plain[test]["outcome"]
                print(f"    {before} -> {entry['outcome']}: {test}: {entry['reason']}", flush=True)
    return broken
