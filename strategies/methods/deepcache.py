"""Knobs of DeepCache (Ma, Fang, Wang, CVPR 2024), with DaTo's depth per call."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import StrictInt

from strategies.knobs import Depth, Knobs, register

MAX_DEPTH = 64


@register
class DeepCache(Knobs):
    """Reuse of the deep features of an earlier call.

    Attributes:
        depth: per call, how many shallow layers run: `"full"` runs everything, `d` runs the
            outermost `d` of the network's skip levels on top of the cached deep feature (`1` is
            DeepCache's branch 0), `0` runs nothing and repeats the previous prediction.
    """

    method: ClassVar[str] = "deepcache"
    paper: ClassVar[str] = "DeepCache, arXiv 2312.00858; depth per call as in DaTo"
    families: ClassVar[tuple[str, ...]] = ("unet",)
    per_call: ClassVar[tuple[str, ...]] = ("depth",)
    neutral: ClassVar[dict[str, Any]] = {"depth": "full"}

    depth: tuple[StrictInt | Literal["full"], ...]

    def model_post_init(self, context: object) -> None:
        for call, depth in enumerate(self.depth):
            if depth != "full" and not 0 <= depth <= MAX_DEPTH:
                raise ValueError(
                    f'depth[{call}] is {depth}; allowed are "full" and whole numbers from 0 up to '
                    "the number of the model's skip levels (12 for Stable Diffusion 1.5)"
                )

    def is_neutral(self) -> bool:
        return all(depth == "full" for depth in self.depth)

    def canonical(self, depths: tuple[Depth, ...] | None) -> DeepCache:
        return DeepCache(depth=("full", *self.depth[1:]))
