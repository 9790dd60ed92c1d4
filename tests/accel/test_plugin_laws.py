"""The laws on methods of another package: by default those of the example in `examples/plugin`."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from typing import Any

import pytest
import torch

import accel
from strategies import registered_methods
from tests.accel.laws import test_unet_laws as laws
from tests.accel.laws import test_unet_work as work
from tests.support import plugins
from tests.support.paths import ROOT
from tests.support.pipelines import method_cases
from tests.support.pipelines.unet_pipelines import build, draw, fresh, strategy

EXAMPLE = "stratagem_todo"


@pytest.fixture(scope="module", autouse=True)
def names(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[list[str]]:
    """Names of the cases; those of the example need no installation."""
    module, folders = request.config.getoption("--law-cases"), []
    if module is None:
        module, folder = f"{EXAMPLE}.law_cases", tmp_path_factory.mktemp("installed")
        entry = {"todo": f"{EXAMPLE}.knobs:ToDo"}
        plugins.declare(folder, "stratagem-todo", {"methods": entry})
        folders = [folder, ROOT / "examples" / "plugin"]
    with plugins.seen(*folders) as patch:
        cases = importlib.import_module(module)
        for name, settings in cases.STRONG.items():
            patch.setitem(method_cases.NEUTRAL, name, cases.NEUTRAL[name])
            patch.setitem(method_cases.STRONG, name, settings)
            patch.setitem(method_cases.ALL, name, settings)
        yield list(cases.STRONG)
    fresh.cache_clear()


@pytest.fixture
def pipe() -> Any:
    return build("sd1")


def test_1_neutral_settings_change_nothing(pipe: Any, names: list[str]) -> None:
    for name in names:
        laws.test_law_1_neutral_knobs_change_nothing(pipe, name)


def test_2_remove_restores_everything(pipe: Any, names: list[str]) -> None:
    for name in names:
        laws.test_law_2_remove_restores_everything(pipe, name)


def test_3_the_same_seed_gives_the_same_image(pipe: Any, names: list[str]) -> None:
    for name in names:
        laws.test_law_3_the_same_seed_gives_the_same_image(pipe, name)


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(one, marks=[] if one == "failing" else [pytest.mark.slow])
        for one in laws.OTHER_RUNS
    ],
)
def test_4_no_generation_sees_another(pipe: Any, names: list[str], other: str) -> None:
    for name in names:
        laws.test_law_4_no_generation_sees_another(pipe, name, other)


def test_5_work_is_skipped(names: list[str]) -> None:
    for name in names:
        work.test_every_case_saves_work(name)


def test_6_a_batch_is_its_images(pipe: Any, names: list[str]) -> None:
    for name in names:
        laws.test_law_6_a_batch_is_its_images(pipe, name, 5.0)


def test_7_other_sizes(pipe: Any, names: list[str]) -> None:
    for name in names:
        laws.test_law_7_non_square_and_odd_sizes(pipe, name, (40, 8))


@pytest.mark.slow
def test_2_and_7_exceptions_half_precision_and_two_calls(names: list[str]) -> None:
    for name in names:
        laws.test_law_2_an_exception_restores_everything(build("sd1"), name)
        laws.test_law_7_half_precision(name, torch.bfloat16)
        laws.test_law_7_guidance_as_two_calls(build("sd1"), name)


def test_9_applying_again_replaces(pipe: Any, names: list[str]) -> None:
    for name in names:
        laws.test_law_9_applying_twice_replaces(pipe, "deepcache", name)


def test_it_goes_with_the_methods_of_stratagem(pipe: Any) -> None:
    """DeepCache and T-GATE wrap it: it acts in the blocks that they run."""
    if "todo" not in registered_methods():
        pytest.skip("of the example alone")
    together = {
        "deepcache": {"depth": ["full", 1, "full", 1, "full", 1]},
        "tgate": {"gate": 4},
        **method_cases.STRONG["todo"],
    }
    accel.apply(pipe, strategy(together))
    assert torch.isfinite(draw(pipe)).all()
    kept = [set(record.tokens.values()) for record in accel.stats(pipe)]
    assert (256, 16) in kept[0]
    assert (256, 64) in kept[1]
    assert kept[3] == set()


def test_keys_and_values_are_of_every_second_row_and_column(pipe: Any) -> None:
    if "todo" not in registered_methods():
        pytest.skip("of the example alone")
    seen: dict[str, list[int]] = {"to_q": [], "to_k": [], "to_v": []}
    site = pipe.unet.down_blocks[0].attentions[0].transformer_blocks[0].attn1
    for name, counts in seen.items():
        site.get_submodule(name).register_forward_pre_hook(
            lambda _, args, counts=counts: counts.append(args[0].shape[1])
        )
    accel.apply(pipe, strategy({"todo": {"factor": [1, 2, 4, 2, 1, 1]}}))
    draw(pipe)
    assert seen["to_q"] == [256] * 6
    assert seen["to_k"] == seen["to_v"] == [256, 64, 16, 64, 256, 256]
