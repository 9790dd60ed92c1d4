"""Every method and every target: as the table of docs/sharing.md says, the rest by name."""

from __future__ import annotations

import importlib.util
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import strategies
import strategies.methods
from strategies import Strategy
from strategies.cli import main
from strategies.exchange.targets import TARGETS
from strategies.knobs import registered_methods
from strategies.step_masks import published_mask
from tests.support.paths import ROOT
from tests.support.pipelines import method_cases, transformer_pipelines

COMFYUI = "ComfyUI"
TOOLS = {
    "cache-dit": "cache-dit's steps mask",
    "sglang": "SGLang",
    "vllm-omni": "vLLM-Omni",
    "sd-cpp": "stable-diffusion.cpp",
    "diffusers": "diffusers' hooks",
    COMFYUI: COMFYUI,
}
SOLVERS = {"unet": "DDIMScheduler", "dit": "DDIMScheduler"}
MASK = list(published_mask("fast", 8))  # All that follow cache-dit take it.


def table() -> dict[tuple[str, str], str]:
    """Cells of the table of methods, by method and target."""
    text = (ROOT / "docs" / "sharing.md").read_text("utf-8")
    head, _, *rows = re.search(r"^\| method \|.*(?:\n\|.*)+", text, re.MULTILINE)[0].split("\n")  # type: ignore[index]
    targets = [cell.strip(" `") for cell in head.strip("|").split("|")][1:]
    found: dict[tuple[str, str], str] = {}
    for row in rows:
        names, *cells = row.strip("|").split("|")
        for name in re.findall(r"`(\w+)`", names):
            found |= {
                (name, target): cell.strip() for target, cell in zip(targets, cells, strict=True)
            }
    return found


NAMES = strategies.methods.__all__
TABLE = table()


def made(family: str, methods: Any, calls: int) -> Strategy:
    scheduler = SOLVERS.get(family, "FlowMatchEulerDiscreteScheduler")
    return Strategy.create(
        name="mine", family=family, scheduler=scheduler, steps=calls, calls=calls, methods=methods
    )


def strong(method: str, family: str) -> Strategy:
    """The method alone, with settings that change much."""
    cases = method_cases.STRONG if family == "unet" else transformer_pipelines.STRONG
    return made(family, cases[method], 6)


def expressed(method: str, target: str) -> Strategy:
    """A strategy of the method that the target takes."""
    if method == "guidance":
        return made("unet", {"guidance": {"mode": ["full", "off", "full"]}}, 3)
    if method == "deepcache":
        return made("unet", {"deepcache": {"depth": ["full", 0, "full"]}}, 3)
    if (method, target) == ("fora", "diffusers"):
        return made("dit", {"fora": {"attn": [True, False] * 3, "mlp": True}}, 6)
    if method == "fora":
        knobs = dict.fromkeys(("attn", "cross", "mlp"), MASK)
        return made("dit", {"fora": knobs}, len(MASK))
    front = 0 if target == "diffusers" else 1
    depth = ["full" if computed else front for computed in MASK]
    return made("transformer", {"deltacache": {"depth": depth}}, len(MASK))


@pytest.fixture(scope="module")
def plan() -> Any:
    spec = importlib.util.spec_from_file_location(
        "comfyui_plan", ROOT / "integrations" / "comfyui" / "plan.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, spec.name, module)
        spec.loader.exec_module(module)
        yield module


@pytest.fixture
def result(
    plan: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> Callable[[Strategy, str], str]:
    """The one line of a target's refusal; empty if it takes the strategy."""

    def tried(one: Strategy, target: str) -> str:
        path = tmp_path / "mine.json"
        strategies.save(one, path)
        if target == COMFYUI:
            try:
                plan.read(path)
            except plan.PlanError as error:
                return str(error)
            return ""
        code = main(["export", str(path), "--to", target])
        out, err = capsys.readouterr()
        assert bool(out) == (code == 0)
        if code == 0:
            return ""
        (line,) = err.splitlines()
        return str(line)

    return tried


def test_the_table_has_every_method_and_target() -> None:
    assert {*TOOLS} == {*TARGETS, COMFYUI}
    assert {*TABLE} == {(method, target) for method in NAMES for target in TOOLS}
    assert {*TABLE.values()} == {"all", "part", "no"}


@pytest.mark.parametrize("target", TOOLS)
@pytest.mark.parametrize("method", NAMES)
def test_what_is_not_taken_is_named(
    method: str, target: str, result: Callable[[Strategy, str], str]
) -> None:
    """A refusal names the tool and the method; a method that is taken in part names the setting."""
    for family in registered_methods()[method].families:
        found = result(strong(method, family), target)
        if TABLE[method, target] == "all":
            assert found == ""
            continue
        words = rf"{re.escape(TOOLS[target])} cannot express .*\b{method}\b"
        assert re.search(words, found), (family, found)
    if TABLE[method, target] == "part":
        assert result(expressed(method, target), target) == ""


@pytest.mark.parametrize("target", TOOLS)
def test_all_methods_that_are_not_taken_are_named(
    target: str, result: Callable[[Strategy, str], str]
) -> None:
    methods = {"tome": {"ratio": 0.5}, "tgate": {"gate": 3}}
    for scheduler, calls in (("DDIMScheduler", 6), ("PNDMScheduler", 7)):
        one = Strategy.create(
            family="unet", scheduler=scheduler, steps=6, calls=calls, methods=methods
        )
        found = result(one, target)
        assert re.search(r"cannot express methods\.\w+ and methods\.\w+; ", found), found
        assert all(f"methods.{name}" in found for name in methods)
