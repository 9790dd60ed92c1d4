"""Follows a generation in ComfyUI and carries a plan out: calls, blocks and halves of guidance.

ComfyUI's models return the image without noise, x - s f, for a noise level s and a prediction f of
the noise or of a flow. What is repeated is f, as in Stratagem's sampler.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from .blocks import Pass, Stack
from .clock import Clock
from .history import History
from .plan import Plan

Model = Callable[..., torch.Tensor]


class Runner:
    """State of one model with a plan.

    Args:
        plan: what every call does.
        stack: blocks of the network, if the plan leaves some out.
        former: wrapper that the model had before, if any.
    """

    def __init__(self, plan: Plan, stack: Stack | None, former: Callable | None = None) -> None:
        self.plan, self.stack, self.former = plan, stack, former
        self.clock = Clock(len(plan.calls))
        self._predictions: dict[int, History] = {}
        self._guiding = History(plan.guidance_size)
        self._guided = -1  # Call at which the difference of the halves was kept last.

    def _clear(self) -> None:
        self._predictions = {}
        if self.stack is not None:
            self.stack.clear()

    def run(self, apply_model: Model, given: dict) -> torch.Tensor:
        """One pass of the network: ComfyUI's `model_function_wrapper`."""
        x, sigma, kinds = given["input"], given["timestep"], list(given["cond_or_uncond"])
        options = given["c"].get("transformer_options", {})
        if self.clock.tick(options, sigma, kinds):
            self._clear()
        call = self.clock.call
        action, level = self.plan.calls[call], _level(sigma, x)
        if action.skip and self._knows(x, kinds):
            rows = [self._predictions[kind].at(call, action.order)[0] for kind in kinds]
            self._end(call, kinds)
            return x - level * torch.cat(rows).to(x)
        if self.stack is not None:
            reuses = action.front is not None and self.stack.knows(action, kinds)
            # A call that cannot reuse computes everything, as if the plan said so.
            self.stack.now = Pass(call, action if reuses else type(action)(), kinds, reuses)
        try:
            output = self._original(apply_model, given)
        finally:
            if self.stack is not None:
                self.stack.now = None
        if self.plan.skips:
            for kind, row in zip(kinds, ((x - output) / level).chunk(len(kinds)), strict=True):
                self._predictions.setdefault(kind, History(self.plan.size)).add(call, [row])
        self._end(call, kinds)
        return output

    def _end(self, call: int, kinds: list[int]) -> None:
        """Free what nothing reads any more, behind the last call."""
        if call == len(self.plan.calls) - 1:
            for kind in kinds:
                self._predictions.pop(kind, None)
                if self.stack is not None:
                    self.stack.forget(kind)

    def _original(self, apply_model: Model, given: dict) -> torch.Tensor:
        if self.former is not None:
            return self.former(apply_model, given)
        return apply_model(given["input"], given["timestep"], **given["c"])

    def _knows(self, x: torch.Tensor, kinds: list[int]) -> bool:
        shape = x.chunk(len(kinds))[0].shape
        known = (self._predictions.get(kind, History()) for kind in kinds)
        return all(one.fits([shape]) for one in known)

    def guide(self, calc: Callable) -> Callable[[dict], list]:
        """ComfyUI's `sampler_calc_cond_batch_function`: leaves out the negative prompt's half.

        Args:
            calc: function of a model, conditionings, latents, noise level and options that makes
                the predictions.
        """

        def predict(args: dict) -> list:
            conds, x, sigma = args["conds"], args["input"], args["sigma"]

            def made(some: list) -> list:
                return list(calc(args["model"], some, x, sigma, args["model_options"]))

            if len(conds) != 2 or conds[1] is None:  # It does not guide.
                return made(conds)
            call = self._next(args)
            action, level = self.plan.calls[call], _level(sigma, x)
            if call <= self._guided:  # Another generation.
                self._guiding, self._guided = History(self.plan.guidance_size), -1
            if action.mode == "off":
                (prompt,) = made(conds[:1])
                return [prompt, prompt]
            if action.mode == "reuse" and self._guiding.fits([x.shape]):
                (prompt,) = made(conds[:1])
                (apart,) = self._guiding.at(call, action.guidance_order)
                return [prompt, prompt + action.weight * level * apart.to(x)]
            both = made(conds)
            # f of the prompt minus f without it; an image without noise is x - s f.
            self._guiding.add(call, [(both[1] - both[0]) / level])
            self._guided = call
            return both

        return predict

    def _next(self, args: dict) -> int:
        """Call that the predictions are for; the network has not run yet."""
        options: dict[str, Any] = args["model_options"].get("transformer_options", {})
        clock = Clock(len(self.plan.calls))
        clock.tick(options, args["sigma"], [0])
        return clock.call


def _level(sigma: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """Noise level of every row, in the shape of the latents."""
    return sigma.reshape(-1, *(1,) * (x.ndim - 1)).to(x)
