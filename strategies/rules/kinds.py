"""Kinds of published rules: the form of a name, and the knobs that follow from its value."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from strategies.methods.deepcache import DeepCache
from strategies.methods.deltacache import DeltaCache
from strategies.methods.fora import FORA
from strategies.methods.guidance import Guidance
from strategies.methods.tgate import TGate
from strategies.methods.tome import ToMe
from strategies.step_masks import NAMES

INTERVAL, SHARE, NOTHING = r"n(\d{1,3})", r"(0?\.\d{1,3})", "()"
# Guided share of the calls: noise levels 0.28 to 5.42 of Stable Diffusion XL at 50 Euler steps.
INSIDE = (0.18, 0.92)
Knobs = type[DeepCache | DeltaCache | FORA | Guidance | TGate | ToMe]
Values = Callable[[str, int], Any]  # Knobs of a rule's value and a number of calls.


@dataclass(frozen=True)
class Setting:
    """Family, solver and number of steps that the paper of a rule measured."""

    family: str
    scheduler: str
    steps: int


SD = Setting("unet", "PNDMScheduler", 50)
TGATE = Setting("unet", "DPMSolverMultistepScheduler", 25)
SDXL = Setting("unet", "EulerDiscreteScheduler", 50)
AG = Setting("unet", "DPMSolverMultistepScheduler", 20)
DIT = Setting("dit", "DDIMScheduler", 250)
FLUX = Setting("mmdit", "FlowMatchEulerDiscreteScheduler", 28)


@dataclass(frozen=True)
class RuleKind:
    """Rules that differ in a value: their prefix, its form, their method and its knobs."""

    prefix: str
    value: str
    method: Knobs
    knobs: Values
    paper: Setting
    examples: tuple[str, ...]

    def read(self, word: str) -> str | None:
        """Value in a word that names a rule of this kind, else None."""
        match = re.fullmatch(re.escape(self.prefix) + self.value, word)
        return None if match is None else match[1]


def _tgate(value: str, calls: int) -> dict[str, Any]:
    gate = max(1, round(float(value) * calls))
    return {"gate": gate if gate < calls else None}


def _linear(_: str, calls: int) -> dict[str, Any]:
    """LinearAG: every other call of the first half is guided; the kept difference fades."""
    guided = range(0, max(1, calls // 2), 2)
    return {"mode": ["full" if call in guided else "reuse" for call in range(calls)], "fade": 0.7}


KINDS = (
    RuleKind(
        "deepcache-",
        INTERVAL,
        DeepCache,
        lambda value, calls: DeepCache.uniform(calls, int(value)),
        SD,
        ("deepcache-n2", "deepcache-n3", "deepcache-n5", "deepcache-n10"),
    ),
    RuleKind(
        "tome-",
        SHARE,
        ToMe,
        lambda value, _: {"ratio": float(value)},
        SD,
        ("tome-0.3", "tome-0.5", "tome-0.7"),
    ),
    RuleKind("tgate-", SHARE, TGate, _tgate, TGATE, ("tgate-0.4",)),
    RuleKind(
        "fora-",
        INTERVAL,
        FORA,
        lambda value, calls: FORA.published(calls, int(value)),
        DIT,
        ("fora-n2", "fora-n3", "fora-n5", "fora-n7"),
    ),
    RuleKind(
        "deltacache-",
        INTERVAL,
        DeltaCache,
        lambda value, calls: DeltaCache.uniform(calls, int(value), depth=1),
        FLUX,
        ("deltacache-n2", "deltacache-n3"),
    ),
    RuleKind(
        "cache-dit-",
        f"({'|'.join(NAMES)})",
        DeltaCache,
        lambda value, calls: DeltaCache.masked(calls, value),
        FLUX,
        tuple(f"cache-dit-{name}" for name in NAMES),
    ),
    RuleKind(
        "guidance-interval",
        NOTHING,
        Guidance,
        lambda _, calls: Guidance.interval(calls, INSIDE[0], INSIDE[1]),
        SDXL,
        ("guidance-interval",),
    ),
    RuleKind(
        "adaptive-guidance-gate",
        NOTHING,
        Guidance,
        lambda _, calls: Guidance.gate(calls, 0.5),
        AG,
        ("adaptive-guidance-gate",),
    ),
    RuleKind("ag-linear", NOTHING, Guidance, _linear, AG, ("ag-linear",)),
)
