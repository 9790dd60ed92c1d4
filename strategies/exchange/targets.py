"""Tools that `python -m strategies export` writes for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from strategies.exchange import serving
from strategies.exchange.cache_dit import VERSIONS, cache_dit, settings_text
from strategies.exchange.diffusers_hooks import VERSION, diffusers_hooks
from strategies.strategy import Strategy


@dataclass(frozen=True)
class ExportTarget:
    """A tool.

    Attributes:
        write: makes the text of the file.
        version: version that the file is written for.
        note: line that the user must know; empty if there is none.
    """

    write: Callable[[Strategy], str]
    version: str
    note: str = ""


HOOKS_NOTE = (
    "the hooks count steps from the last finished generation, so apply them again after one that "
    "was interrupted"
)
TARGETS = {
    "cache-dit": ExportTarget(
        lambda strategy: settings_text(cache_dit(strategy)), VERSIONS["cache-dit"]
    ),
    "sglang": ExportTarget(serving.sglang, "0.5.23"),
    "vllm-omni": ExportTarget(serving.vllm_omni, "0.30"),
    "diffusers": ExportTarget(diffusers_hooks, VERSION, HOOKS_NOTE),
    "sd-cpp": ExportTarget(serving.sd_cpp, "master-827", serving.SD_CPP_NOTE),
}
