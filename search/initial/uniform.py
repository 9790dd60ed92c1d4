"""Uniform schedules, and the choices that a space has for them."""

from __future__ import annotations

from typing import Any

from strategies import Gene, SearchSpace
from strategies.methods.fora import COMPONENTS, FORA


def uniform_depths(interval: int, calls: int, depth: int) -> list[Any]:
    """Uniform schedule of DeepCache and Delta-DiT: full at calls 0, N, 2N, ..."""
    return ["full" if call % interval == 0 else depth for call in range(calls)]


def call_choices(space: SearchSpace, method: str, knob: str) -> list[Any]:
    """Choices of a knob per call; none if the space does not have it."""
    plain = [gene for gene in space.call_genes if isinstance(gene, Gene)]
    return [c for g in plain if (g.method, g.knob) == (method, knob) for c in g.choices]


def fora_knobs(space: SearchSpace, calls: int, interval: int) -> dict[str, Any]:
    """Knobs of the space's components of FORA, computed at calls 0, N, 2N, ..."""
    rule = FORA.published(calls, interval)
    there = [knob for knob in COMPONENTS if call_choices(space, "fora", knob)]
    return {f"fora_{knob}": getattr(rule, knob) for knob in there}


def deltacache_knobs(space: SearchSpace, calls: int, interval: int) -> dict[str, Any]:
    """Knobs of Delta-DiT's cache with the space's first stretch, full at calls 0, N, 2N, ..."""
    reused = [depth for depth in call_choices(space, "deltacache", "depth") if depth != "full"]
    return {"deltacache_depth": uniform_depths(interval, calls, reused[0])} if reused else {}


def cached_depths(space: SearchSpace) -> list[int]:
    """Depths of DeepCache that compute something, in the order of the space."""
    depths = call_choices(space, "deepcache", "depth")
    return [depth for depth in depths if isinstance(depth, int) and depth > 0]
