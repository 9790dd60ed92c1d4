"""The ComfyUI node against stand-ins for ComfyUI's published interface."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.integrations import comfyui_stand_ins as comfy
from tests.support.paths import ROOT

STEPS = 6
FOLDER = ROOT / "integrations" / "comfyui"


@pytest.fixture(scope="module")
def node() -> Iterator[Any]:
    """The folder, imported in the way of ComfyUI: by its path, under a name of its own."""
    name = "custom_nodes_stratagem"
    spec = importlib.util.spec_from_file_location(name, FOLDER / "__init__.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, name, module)
        samplers = ModuleType("comfy.samplers")
        samplers.calc_cond_batch = comfy.calc_cond_batch  # type: ignore[attr-defined]
        package = ModuleType("comfy")
        package.samplers = samplers  # type: ignore[attr-defined]
        patch.setitem(sys.modules, "comfy", package)
        patch.setitem(sys.modules, "comfy.samplers", samplers)
        spec.loader.exec_module(module)
        yield module
    for one in [one for one in sys.modules if one.startswith(name)]:
        del sys.modules[one]


@pytest.fixture(params=[True, False], ids=["batched", "two passes"])
def batched(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    monkeypatch.setitem(comfy.BATCHED, "halves", request.param)
    return bool(request.param)


def strategy(methods: dict[str, Any], family: str = "mmdit", **fields: Any) -> dict[str, Any]:
    given = {"family": family, "scheduler": "EulerDiscreteScheduler", "steps": STEPS}
    return {"schema": 1, "name": "mine", "calls": STEPS, "methods": methods} | given | fields


def applied(node: Any, patcher: Any, data: dict[str, Any], folder: Path) -> Any:
    path = folder / "mine.json"
    path.write_text(json.dumps(data))
    kind = node.NODE_CLASS_MAPPINGS["StratagemApplyStrategy"]
    assert kind.RETURN_TYPES == ("MODEL", "INT", "STRING")
    assert list(kind.INPUT_TYPES()["required"]) == ["model", "strategy"]
    model, steps, _ = getattr(kind(), kind.FUNCTION)(patcher, str(path))
    assert steps == STEPS
    return model


def model(network: Any, predicts: type = comfy.EPS) -> comfy.ModelPatcher:
    return comfy.ModelPatcher(comfy.BaseModel(network, predicts))


@torch.no_grad()
def by_hand(
    network: Any, skip: list[bool], order: int, modes: list[str], weight: float = 1.0
) -> Tensor:
    """The generation that a plan means, step by step, for one image and guidance of 3."""
    x, sigmas, conds = comfy.noise(), comfy.levels(STEPS), comfy.prompts()
    kept: dict[int, list[tuple[int, Tensor]]] = {0: [], 1: []}
    apart = torch.zeros_like(x)
    for call in range(STEPS):
        now = sigmas[call]
        f = {}
        for kind in (0, 1) if modes[call] == "full" else (0,):
            if not skip[call]:
                f[kind] = network(x, now.expand(1), conds[kind], {})
                kept[kind].append((call, f[kind]))
            else:
                f[kind] = comfy.polynomial(kept[kind][-(order + 1) :], call)
        if modes[call] == "full":
            apart = f[0] - f[1]
            guided = f[1] + 3 * (f[0] - f[1])
        else:
            guided = f[0] + (2 * weight * apart if modes[call] == "reuse" else 0)
        x = x + guided * (sigmas[call + 1] - now)
    return x


@pytest.mark.parametrize("order", [0, 1, 2])
def test_calls_that_repeat_the_prediction(
    node: Any, batched: bool, order: int, tmp_path: Path
) -> None:
    network = comfy.UNetModel()
    depth = ["full", "full", 0, "full", 0, 0]
    skip = [one == 0 for one in depth]
    expected = by_hand(network, skip, order, ["full"] * STEPS)
    data = strategy({"deepcache": {"depth": depth, "order": order}}, "unet")
    patcher = model(network)
    fast = applied(node, patcher, data, tmp_path)
    network.ran.clear()
    found = comfy.sample(fast, STEPS)
    assert network.ran == ([2] * 3 if batched else [1] * 6)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    assert torch.equal(comfy.sample(fast, STEPS), found)
    plain = comfy.sample(patcher, STEPS)  # The model that came in is as it was.
    torch.testing.assert_close(plain, by_hand(network, [False] * STEPS, 0, ["full"] * STEPS))


@pytest.mark.parametrize("order", [0, 1])
@pytest.mark.parametrize(("front", "tail"), [(0, 0), (1, 0), (2, 1), (4, 1), (1, 5)])
def test_blocks_that_are_left_out(
    node: Any, batched: bool, front: int, tail: int, order: int, tmp_path: Path
) -> None:
    network = comfy.Flux()
    depth = ["full", "full", front, "full", front, front]
    knobs = {"depth": depth, "tail": tail, "order": order}
    data = strategy({"deltacache": knobs})
    fast = applied(node, model(network, comfy.CONST), data, tmp_path)
    blocks: Any = [*network.double_blocks, *network.single_blocks]
    for block in blocks:
        block.ran = 0
    found = comfy.sample(fast, STEPS)
    each = 1 if batched else 2
    whole, part = STEPS * each, 3 * each
    middle = range(front, len(blocks) - tail)
    assert [b.ran for b in blocks] == [part if i in middle else whole for i in range(len(blocks))]
    expected = stretch_by_hand(comfy.Flux(), front, tail, depth, order)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    assert torch.equal(comfy.sample(fast, STEPS), found)
    runner = fast.model_options["model_function_wrapper"].__self__
    assert not runner.stack._kept  # Nothing stays behind.


@torch.no_grad()
def stretch_by_hand(network: Any, front: int, tail: int, depth: list[Any], order: int) -> Tensor:
    """The same with the blocks called one after the other."""
    x, sigmas, conds = comfy.noise(), comfy.levels(STEPS), comfy.prompts()
    first, last = front, len(network.double_blocks) + len(network.single_blocks) - tail
    kept: dict[tuple[int, str], list[tuple[int, Any]]] = {}

    def through(kind: int, call: int, x: Tensor, now: Tensor) -> Tensor:
        vec = now.expand(1)[:, None, None] / 7
        tokens = [x.flatten(2).mT.clone(), conds[kind].clone()]
        number = 0
        for name, blocks in (("double", network.double_blocks), ("single", network.single_blocks)):
            if name == "single":
                text = tokens[1].shape[1]
                tokens = [torch.cat([tokens[1], tokens[0]], 1)]
            inside = [i for i in range(len(blocks)) if first <= number + i < last]
            begin: list[Tensor] = []
            for i, block in enumerate(blocks):
                if i not in inside or depth[call] == "full":
                    if inside and i == inside[0]:
                        begin = [one.clone() for one in tokens]
                    tokens = block(vec, *[one.clone() for one in tokens])
                    if inside and i == inside[-1]:
                        added = [b - a for a, b in zip(begin, tokens, strict=True)]
                        kept.setdefault((kind, name), []).append((call, added))
                elif i == inside[-1]:
                    rows = kept[kind, name][-(order + 1) :]
                    tokens = [
                        one + comfy.polynomial([(c, v[j]) for c, v in rows], call)
                        for j, one in enumerate(tokens)
                    ]
            number += len(blocks)
        return tokens[0][:, text:].mT.unflatten(2, x.shape[2:])

    for call in range(STEPS):
        now = sigmas[call]
        prompt, negative = (through(kind, call, x, now) for kind in (0, 1))
        x = x + (negative + 3 * (prompt - negative)) * (sigmas[call + 1] - now)
    return x


def test_guidance_at_some_calls(node: Any, batched: bool, tmp_path: Path) -> None:
    network = comfy.UNetModel()
    modes = ["full", "off", "full", "reuse", "reuse", "off"]
    expected = by_hand(network, [False] * STEPS, 0, modes, 0.5)
    data = strategy({"guidance": {"mode": modes, "weight": 0.5}}, "unet")
    fast = applied(node, model(network), data, tmp_path)
    network.ran.clear()
    found = comfy.sample(fast, STEPS)
    assert sum(network.ran) == 2 * 2 + 4
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    assert torch.equal(comfy.sample(fast, STEPS), found)
    network.ran.clear()
    comfy.sample(fast, STEPS, scale=1.0)  # There is nothing to leave out.
    assert network.ran == [1] * STEPS


def test_both_halves_catch_up(node: Any, batched: bool, tmp_path: Path) -> None:
    """The half that did not run at the last computed call has nothing that may be reused."""
    network = comfy.UNetModel()
    modes = ["full", "off", "full", "full", "full", "full"]
    depth = ["full", "full", 0, 0, "full", 0]
    skip = [False, False, False, True, False, True]
    data = strategy({"guidance": {"mode": modes}, "deepcache": {"depth": depth}}, "unet")
    fast = applied(node, model(network), data, tmp_path)
    expected = by_hand(network, skip, 0, modes)
    torch.testing.assert_close(comfy.sample(fast, STEPS), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    "other",
    [{"rows": 3}, {"size": 4}, {"scale": 1.0}, {"stop": 4}, {"stop": 1}],
    ids=["batch", "size", "no guidance", "interrupted", "at once"],
)
def test_no_generation_sees_another(node: Any, other: dict[str, Any], tmp_path: Path) -> None:
    knobs = {"depth": ["full", "skip", 1, "full", 2, "skip"], "order": 1}
    data = strategy({"deltacache": knobs, "guidance": {"mode": ["full", "full", *["reuse"] * 4]}})
    fast = applied(node, model(comfy.Flux()), data, tmp_path)
    found = comfy.sample(fast, STEPS)
    comfy.sample(fast, STEPS, **other)
    assert torch.equal(comfy.sample(fast, STEPS), found)


def test_other_nodes_keep_their_wrapper(node: Any, tmp_path: Path) -> None:
    seen: list[int] = []
    patcher = model(comfy.UNetModel())

    def wrapper(apply_model: Any, given: dict[str, Any]) -> Tensor:
        seen.append(len(given["input"]))
        return apply_model(given["input"], given["timestep"], **given["c"])

    patcher.set_model_unet_function_wrapper(wrapper)
    depth = ["full", 0, "full", 0, "full", 0]
    comfy.sample(
        applied(node, patcher, strategy({"deepcache": {"depth": depth}}, "unet"), tmp_path), STEPS
    )
    assert seen == [2, 2, 2]


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "method": (strategy({"tome": {"ratio": 0.5}}), "ComfyUI cannot express methods.tome; it can"),
    "depth": (strategy({"deepcache": {"depth": 1}}, "unet"), r"deepcache.depth\[0\], which is 1"),
    "scale": (strategy({"guidance": {"scale": 1.3}}), r"guidance.scale\[0\], which is 1.3"),
    "third": (strategy({"guidance": {"late": 0.6}}), "guidance.late other than 1"),
    "knob": (strategy({"guidance": {"other": 1}}), "cannot express methods.guidance.other"),
    "calls": (strategy({}, calls=7), "makes 7 calls in 6 steps"),
    "schema": (strategy({}, schema=2), "schema is 2; this node reads 1"),
    "family": (strategy({}, family="vae"), "family is 'vae'; this node knows unet"),
    "kind": (strategy({}, "unet"), "for family 'unet', and the model, Flux, is no UNet"),
    "front": (strategy({"deltacache": {"depth": 9}}), r"runs 9 \+ 0 blocks, but Flux has 7"),
    "list": (strategy({"deltacache": {"depth": ["full"]}}), "depth has 1 values, not 6"),
    "order": (strategy({"deltacache": {"depth": 1, "order": 3}}), "order is 3 at call 0"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_expressed_is_named(node: Any, name: str, tmp_path: Path) -> None:
    data, message = REFUSED[name]
    with pytest.raises(ValueError, match=message) as caught:
        applied(node, model(comfy.Flux()), data, tmp_path)
    assert len(str(caught.value).splitlines()) == 1


def test_models_and_samplers_that_do_not_fit(node: Any, tmp_path: Path) -> None:
    skips = strategy({"deltacache": {"depth": "skip"}})
    with pytest.raises(ValueError, match="the model predicts V_PREDICTION"):
        applied(node, model(comfy.Flux(), comfy.V_PREDICTION), skips, tmp_path)
    other = type("Lumina", (comfy.Flux,), {})()
    with pytest.raises(ValueError, match="the model is a Lumina; use a strategy"):
        applied(node, model(other), strategy({"deltacache": {"depth": 1}}), tmp_path)
    fast = applied(node, model(comfy.Flux()), skips, tmp_path)
    with pytest.raises(ValueError, match="for 6 steps, but the sampler makes 9"):
        comfy.sample(fast, 9)
    run = fast.model_options["model_function_wrapper"]
    given = {"input": comfy.noise(), "cond_or_uncond": [0], "c": {"transformer_options": {}}}
    with pytest.raises(ValueError, match="does not state its noise levels"):
        run(fast.model.apply_model, given | {"timestep": torch.ones(1)})
    options = {"sample_sigmas": comfy.levels(STEPS)}
    given["c"] = {"transformer_options": options, "c_crossattn": comfy.prompts()[0]}
    with pytest.raises(ValueError, match=r"noise level 1.11, which is not on its schedule"):
        run(fast.model.apply_model, given | {"timestep": torch.tensor([1.11])})
    level = {"timestep": comfy.levels(STEPS)[1:2]}
    run(fast.model.apply_model, given | level)
    with pytest.raises(ValueError, match="more than once for one prompt at step 2"):
        run(fast.model.apply_model, given | level)


def test_files(node: Any, tmp_path: Path) -> None:
    kind = node.NODE_CLASS_MAPPINGS["StratagemApplyStrategy"]
    with pytest.raises(ValueError, match="No such file or directory; give the path of a strategy"):
        kind().apply(None, str(tmp_path / "none.json"))
    (tmp_path / "text.json").write_text("not JSON")
    with pytest.raises(ValueError, match=r"text.json: not JSON"):
        kind().apply(None, str(tmp_path / "text.json"))
    before = kind.IS_CHANGED(None, str(tmp_path / "text.json"))
    (tmp_path / "text.json").write_text("{}")
    assert kind.IS_CHANGED(None, str(tmp_path / "text.json")) != before
    assert kind.IS_CHANGED(None, str(tmp_path / "none.json")) == ""
