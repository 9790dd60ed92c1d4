"""Number of the present call, from the schedule that the sampler states."""

from __future__ import annotations

import torch

from .plan import PlanError

NEAR = 1e-3  # Relative difference of two noise levels that are the same.


class Clock:
    """Position in a generation.

    Args:
        calls: number of calls of the plan.

    Attributes:
        call: number of the present call; -1 before the first one.
    """

    def __init__(self, calls: int) -> None:
        self._calls = calls
        self._schedule: torch.Tensor | None = None
        self._seen: set[int] = set()
        self.call = -1

    def tick(self, options: dict, sigma: torch.Tensor, kinds: list[int]) -> bool:
        """Find the call that a pass belongs to; returns whether it begins a generation.

        Args:
            options: ComfyUI's `transformer_options` of the pass.
            sigma: noise level of each row.
            kinds: ComfyUI's `cond_or_uncond` of the pass: 0 for the prompt, 1 for the negative one.

        Raises:
            PlanError: the sampler makes calls that the plan has not.
        """
        schedule = options.get("sample_sigmas")
        if schedule is None:
            raise PlanError(
                "the sampler does not state its noise levels (sample_sigmas); use KSampler or "
                "SamplerCustom of ComfyUI"
            )
        if len(schedule) - 1 != self._calls:
            raise PlanError(
                f"the strategy is for {self._calls} steps, but the sampler makes "
                f"{len(schedule) - 1}; set the steps of the sampler to {self._calls}"
            )
        call = _nearest(schedule, float(sigma.max()))
        begins = schedule is not self._schedule or call < self.call
        begins = begins or (call == 0 and bool(self._seen & set(kinds)))
        if begins:
            self._schedule, self._seen = schedule, set()
        elif call > self.call:
            self._seen = set()
        if len(set(kinds)) != len(kinds) or self._seen & set(kinds):
            raise PlanError(
                f"the network runs more than once for one prompt at step {call + 1}; use a sampler "
                "with one call for each step, such as euler, and one prompt without areas"
            )
        self.call = call
        self._seen |= set(kinds)
        return begins


def _nearest(schedule: torch.Tensor, sigma: float) -> int:
    levels = [float(one) for one in schedule[:-1]]
    call = min(range(len(levels)), key=lambda i: abs(levels[i] - sigma))
    if abs(levels[call] - sigma) > NEAR * max(levels[call], sigma):
        raise PlanError(
            f"the sampler calls the network at noise level {sigma:g}, which is not on its "
            "schedule; use a sampler with one call for each step, such as euler"
        )
    return call
