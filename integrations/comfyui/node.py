"""ComfyUI node: applies a strategy file to a loaded model."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from . import plan as plans
from .blocks import Stack, places
from .plan import Plan, PlanError
from .runner import Runner

FOLDER = Path(__file__).parent / "strategies"
UNETS = ("UNetModel",)
# ComfyUI's names of what a network predicts. With these, an image without noise is x - s f.
PREDICTIONS = ("EPS", "CONST")
OTHER = ("V_PREDICTION", "V_PREDICTION_DDPM", "EDM", "X0", "IMG_TO_IMG", "IMG_TO_IMG_FLOW",
         "COSMOS_RFLOW")  # fmt: skip


class ApplyStrategy:
    """Node that gives a clone of a model that follows a strategy."""

    RETURN_TYPES = ("MODEL", "INT", "STRING")
    RETURN_NAMES = ("model", "steps", "about")
    FUNCTION = "apply"
    CATEGORY = "model_patches/stratagem"
    DESCRIPTION = "Apply a Stratagem strategy file. Connect steps to the sampler."

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:  # noqa: N802
        """Inputs of the node."""
        file = {"default": "strategy.json", "tooltip": f"a path, or the name of a file in {FOLDER}"}
        return {"required": {"model": ("MODEL",), "strategy": ("STRING", file)}}

    @classmethod
    def IS_CHANGED(cls, model: Any, strategy: str) -> str:  # noqa: N802
        """Digest of the file, so that a changed file is read again."""
        try:
            return hashlib.sha256(_place(strategy).read_bytes()).hexdigest()
        except OSError:
            return ""

    def apply(self, model: Any, strategy: str) -> tuple[Any, int, str]:
        """Apply a strategy file to a clone of the model.

        Raises:
            PlanError: the file cannot be read, or it does not fit the model.
        """
        plan = plans.read(_place(strategy))
        made = model.clone()
        stack = _stack(plan, made)
        options = made.model_options
        runner = Runner(plan, stack, options.get("model_function_wrapper"))
        made.set_model_unet_function_wrapper(runner.run)
        if stack is not None:
            for place in stack.places:
                made.set_model_patch_replace(stack.patch(place), "dit", place.kind, place.index)
        if plan.guides:
            former = options.get("sampler_calc_cond_batch_function")
            calc = _calc if former is None else _through(former)
            made.set_model_sampler_calc_cond_batch_function(runner.guide(calc))
        return made, plan.steps, about(plan)


def about(plan: Plan) -> str:
    """What has to be set in the sampler, and how much is left out."""
    skipped = sum(call.skip for call in plan.calls)
    partly = sum(call.front is not None for call in plan.calls)
    halves = sum(call.mode != "full" for call in plan.calls)
    return (
        f"{plan.name or 'strategy'}: {plan.steps} steps, found with {plan.solver}; of "
        f"{len(plan.calls)} calls {skipped} are left out, {partly} run a part of the blocks, "
        f"{halves} run without the negative prompt"
    )


def _place(strategy: str) -> Path:
    path = Path(strategy)
    return path if path.is_absolute() or path.is_file() else FOLDER / path


def _stack(plan: Plan, model: Any) -> Stack | None:
    """Blocks that the plan leaves out; None if it leaves none out.

    Raises:
        PlanError: the plan does not fit the model.
    """
    network = model.model.diffusion_model
    name = type(network).__name__
    if (plan.family == "unet") != (name in UNETS):
        kind = "a UNet" if name in UNETS else "no UNet"
        raise PlanError(
            f"the strategy is for family {plan.family!r}, and the model, {name}, is {kind}"
        )
    if plan.skips or any(call.mode == "reuse" for call in plan.calls):
        _check_prediction(model.model.model_sampling)
    if not plan.stretches:
        return None
    found = places(network)
    for front, tail in plan.stretches:
        if front + tail >= len(found):
            raise PlanError(
                f"deltacache runs {front} + {tail} blocks, but {name} has {len(found)}, so that "
                "none is left out"
            )
    taken = model.model_options.get("transformer_options", {}).get("patches_replace", {})
    if any((one.kind, one.index) in taken.get("dit", {}) for one in found):
        raise PlanError("another node replaces blocks of this model; use one of the two nodes")
    return Stack(found, plan.stretches, plan.size)


def _check_prediction(sampling: Any) -> None:
    names = {one.__name__ for one in type(sampling).__mro__}
    if names & set(OTHER) or not names & set(PREDICTIONS):
        kind = ", ".join(sorted(names & set(OTHER))) or type(sampling).__name__
        raise PlanError(
            f"the model predicts {kind}; repeating a prediction is supported for "
            f"{' and '.join(PREDICTIONS)} (noise, or a flow)"
        )


def _calc(model: Any, conds: list, x: Any, sigma: Any, options: dict) -> list:
    import comfy.samplers  # It is there only inside ComfyUI.

    return comfy.samplers.calc_cond_batch(model, conds, x, sigma, options)


def _through(former: Any) -> Any:
    """Another node's function in the form of ComfyUI's own."""

    def calc(model: Any, conds: list, x: Any, sigma: Any, options: dict) -> list:
        given = {"model": model, "conds": conds, "input": x, "sigma": sigma}
        return former(given | {"model_options": options})

    return calc
