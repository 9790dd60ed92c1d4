"""Tools that `python -m strategies export` writes for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from strategies.exchange import serving
from strategies.exchange.cache_dit import VERSIONS, cache_dit, dump
from strategies.strategy import Strategy


@dataclass(frozen=True)
class Target:
    """A tool.

    Attributes:
        write: makes the text of the file.
        version: version that the file is written for.
        note: line that the user must know; empty if there is none.
    """

    write: Callable[[Strategy], str]
    version: str
    note: str = ""


TARGETS = {
    "cache-dit": Target(lambda strategy: dump(cache_dit(strategy)), VERSIONS["cache-dit"]),
    "sglang": Target(serving.sglang, "0.5.23"),
    "vllm-omni": Target(serving.vllm_omni, "0.30"),
    "sd-cpp": Target(serving.sd_cpp, "master-827", serving.SD_CPP_NOTE),
}
