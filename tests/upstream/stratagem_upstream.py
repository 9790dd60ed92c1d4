"""A plugin of pytest that puts a strategy on every call of a pipeline and stands in for the hub.

diffusers' tests build their networks with random weights, but read a few tiny tokenizers and text
encoders from the hub. Offline, small ones with random weights take their places. A strategy is
applied as soon as a call of a pipeline has set its timesteps, as its number of calls is known then,
and taken off when the call ends.
"""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import diffusers
import pytest
import torch
import transformers
from diffusers import DiffusionPipeline

import accel
from accel import families
from strategies import Strategy, StrategyError
from strategies.solvers import calls_of
from zoo import tiny_pixart, tiny_sd

PLUGIN = "stratagem_upstream"  # By itself: diffusers has a package `tests`, too.
STRATEGY, REPORT = "STRATAGEM_UPSTREAM_STRATEGY", "STRATAGEM_UPSTREAM_REPORT"
MODES = ("none", "neutral", "mild")

_accelerated = 0
_refused: list[str] = []
_inside: list[Any] = []  # Pipelines that are being called, the innermost last.


def pytest_configure(config: pytest.Config) -> None:
    """Stand in for the hub, and wrap every pipeline's call."""
    _stand_in()
    mode = os.environ[STRATEGY]
    if mode == "none":
        return
    for name in dir(diffusers):
        kind = getattr(diffusers, name) if name.endswith("Pipeline") else None
        if isinstance(kind, type) and issubclass(kind, DiffusionPipeline):
            own = vars(kind).get("__call__")
            if own is not None:
                type.__setattr__(kind, "__call__", _accelerating(own, mode))


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Note the outcome of a test in one line of the report."""
    global _accelerated
    if report.when == "call" or report.outcome != "passed":
        text = report.longreprtext.strip().splitlines() if report.failed else []
        entry = {
            "test": report.nodeid,
            "outcome": report.outcome,
            "reason": text[-1] if text else "",
            "accelerated": _accelerated,
            "refused": list(_refused),
        }
        crash = getattr(report.longrepr, "reprcrash", None)
        if report.failed and crash is not None:
            entry["reason"] = " ".join(crash.message.split())[:200]
        with Path(os.environ[REPORT]).open("a", encoding="utf-8") as out:
            out.write(json.dumps(entry) + "\n")
    if report.when == "teardown":
        _accelerated = 0
        _refused.clear()


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A folder without tests has an empty report."""
    Path(os.environ[REPORT]).touch()


def _accelerating(own: Any, mode: str) -> Any:
    @functools.wraps(own)  # Tests look up which arguments a pipeline takes.
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        if any(self is one for one in _inside) or getattr(self, "scheduler", None) is None:
            return own(self, *args, **kwargs)
        _inside.append(self)
        try:
            with _applied_when_set(self, mode):
                return own(self, *args, **kwargs)
        finally:
            _inside.pop()

    return call


@contextmanager
def _applied_when_set(pipe: Any, mode: str) -> Iterator[None]:
    scheduler = pipe.scheduler
    kind = type(scheduler)
    own, inherited = kind.set_timesteps, "set_timesteps" not in vars(kind)

    @functools.wraps(own)
    def set_timesteps(self: Any, *args: Any, **kwargs: Any) -> Any:
        result = own(self, *args, **kwargs)
        if self is pipe.scheduler:
            _apply(pipe, len(self.timesteps), mode)
        return result

    kind.set_timesteps = set_timesteps
    try:
        yield
    finally:
        if inherited:
            del kind.set_timesteps
        else:
            kind.set_timesteps = own
        with suppress(StrategyError):  # No supported denoiser, so nothing was applied.
            accel.remove(pipe)


def _apply(pipe: Any, calls: int, mode: str) -> None:
    """Apply the strategy, or note why it is refused and let the pipeline draw without."""
    global _accelerated
    try:
        accel.apply(pipe, plan(pipe, calls, mode))
        _accelerated += 1
    except StrategyError as error:
        _refused.append(f"{type(pipe).__name__}: {error}")


def plan(pipe: Any, calls: int, mode: str) -> Strategy:
    """A strategy for the pipeline as it is."""
    family, _ = families.find_sites(pipe)
    solver = type(pipe.scheduler).__name__
    steps = next((n for n in range(1, calls + 1) if calls_of(solver, n) == calls), calls)
    mild: dict[str, Any] = {"fora": {"attn": [call % 2 == 0 for call in range(calls)]}}
    if family == "unet":
        mild = {"deepcache": {"depth": ["full" if call % 2 == 0 else 1 for call in range(calls)]}}
    methods = mild if mode == "mild" and calls > 1 else {}
    return Strategy.create(
        family=family, scheduler=solver, steps=steps, calls=calls, methods=methods
    )


def _stand_in() -> None:
    """Give the tests' tiny tokenizers and text encoders without the hub."""
    words, letters = tiny_sd.tokenizer(), tiny_pixart.tokenizer()
    for kind in (transformers.CLIPTokenizer, transformers.AutoTokenizer, transformers.T5Tokenizer):
        _instead(kind, "clip", lambda: words)
        _instead(kind, "t5", lambda: letters)
    for kind in (transformers.T5Config, transformers.AutoConfig):
        _instead(kind, "t5", _t5_config)
    for kind in (transformers.T5EncoderModel, transformers.AutoModel):
        _instead(kind, "t5", _t5)


def _t5_config() -> Any:
    """As small as the tests expect: 32 wide."""
    return transformers.T5Config(
        vocab_size=1103, d_model=32, d_kv=8, d_ff=37, num_layers=2, num_heads=4
    )


def _t5() -> Any:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return transformers.T5EncoderModel(_t5_config()).eval()


def _instead(kind: Any, word: str, make: Any) -> None:
    own = kind.from_pretrained

    def from_pretrained(source: Any, *args: Any, **kwargs: Any) -> Any:
        if str(source).startswith("hf-internal-testing/") and word in str(source).lower():
            return make()
        return own(source, *args, **kwargs)

    kind.from_pretrained = staticmethod(from_pretrained)
