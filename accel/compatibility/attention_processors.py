"""Traits of attention processors that some methods cannot work with.

Users and pipelines set processors of their own. Some mix the rows of a batch (StyleAligned, video
from image models). Some take a row's position in the batch for its role (perturbed-attention
guidance). Some keep maps that the pipeline reads afterwards (self-attention guidance,
Attend-and-Excite). diffusers' ordinary processors do none of this. Any other processor is tried on
a few random tokens, which tells a faster kernel from one that mixes rows.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from typing import Any

import torch
from torch import Tensor, nn

from accel.clock import CallListener, Clock
from accel.patching.replacing import untraced
from accel.sites import Sublayer
from strategies import StrategyError

ROWS, TOKENS, WORDS = 12, 16, 5  # Rows divide into two, three and four parts.
TOLERANCE = 1e-2  # Relative; half precision rounds by less, mixed rows differ by more.


class Trait(Enum):
    """A trait of a processor; the value completes the words "which ..."."""

    ROWS = "reads rows of the batch across each other or by their place"
    KEEPS = "keeps something from call to call that others may read"
    SPLITS = "projects parts of the batch apart"


_ALL = frozenset(Trait)
_PLAIN = (int, float, complex, str, bytes, type(None), torch.dtype, torch.device, type, nn.Module)
_TRIED: weakref.WeakKeyDictionary[Any, frozenset[Trait]] = weakref.WeakKeyDictionary()


class Processors(CallListener):
    """Check that no attention processor misleads a method: at the start and at each generation's
    first pass.

    Pipelines may set processors inside their call, so the check at the start is not enough.

    Args:
        clock: the sampler's clock.
        method: name of the method, for messages.
        attentions: modules that the method skips or changes, by name.
        breaks: traits of processors that it cannot work with.

    Raises:
        StrategyError: a processor has such a trait.
    """

    def __init__(
        self,
        clock: Clock,
        method: str,
        attentions: Mapping[str, nn.Module],
        breaks: Iterable[Trait],
    ) -> None:
        self.clock, self.method = clock, method
        self.attentions, self.breaks = dict(attentions), frozenset(breaks)
        self._sound: dict[str, Any] = {}
        self.check()
        clock.listeners.insert(0, self)  # Before others keep what a trial projects.

    def begin(self) -> None:
        if self.clock.call == self.clock.first and self.clock.guidance_pass == 0:
            self.check()

    @untraced
    def check(self) -> None:
        """Check processors that were not there at the last check."""
        for name, module in self.attentions.items():
            processor = getattr(module, "processor", None)
            if processor is None or self._sound.get(name) is processor:
                continue
            found = traits(module, processor) & self.breaks
            if found:
                does = " and ".join(trait.value for trait in Trait if trait in found)
                raise StrategyError(
                    f"methods.{self.method} cannot be used with the attention processor "
                    f"{type(processor).__name__} of {name}, which {does}; take "
                    f"methods.{self.method} out of the strategy, or set another processor"
                )
            self._sound[name] = processor


def attentions(module: nn.Module, name: str = "") -> dict[str, nn.Module]:
    """All modules with an attention processor, by name, including `module` itself."""
    return {
        ".".join(filter(None, (name, inner))): found
        for inner, found in module.named_modules()
        if hasattr(found, "processor")
    }


def of_parts(parts: Iterable[Sublayer]) -> dict[str, nn.Module]:
    """Attentions among parts of transformer blocks, by name."""
    found: dict[str, nn.Module] = {}
    for part in parts:
        for module in (part.module, *part.inside):
            found |= attentions(module, part.name)
    return found


def traits(module: nn.Module, processor: Any) -> frozenset[Trait]:
    """Traits of the processor of an attention."""
    kind = type(processor)
    if kind.__module__.startswith("diffusers.models."):
        perturbs = kind.__name__.startswith("PAG")
        return frozenset({Trait.ROWS, Trait.SPLITS}) if perturbs else frozenset()
    try:
        known = _TRIED.get(processor)
    except TypeError:  # It takes no weak references.
        return _tried(module, processor)
    if known is None:
        known = _TRIED[processor] = _tried(module, processor)
    return known


def _tried(module: Any, processor: Any) -> frozenset[Trait]:
    """Traits of an unknown processor, found by trial. All of them if it cannot be tried."""
    before = dict(getattr(processor, "__dict__", {}))
    if not isinstance(processor, nn.Module) and not all(map(_plain, before.values())):
        return _ALL  # A trial would write into what it holds.
    beside = dict(vars(module))
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=[]), _Watch(module) as watch:
            torch.manual_seed(0)
            made = _trial(module, processor)
            found = {Trait.SPLITS} if watch.split else set()
            found |= set() if made else {Trait.ROWS}
    except Exception:  # Whatever it is, it is not a plain attention.
        return _ALL
    changed = vars(processor) if before or hasattr(processor, "__dict__") else {}
    if _differ(before, changed) or _differ(beside, vars(module)):
        found.add(Trait.KEEPS)
        _restore(changed, before)
        _restore(vars(module), beside)
    return frozenset(found)


def _plain(value: Any) -> bool:
    if isinstance(value, tuple):
        return all(map(_plain, value))
    return isinstance(value, _PLAIN) or (callable(value) and not hasattr(value, "__self__"))


def _differ(before: dict[str, Any], after: dict[str, Any]) -> bool:
    return before.keys() != after.keys() or any(after[k] is not v for k, v in before.items())


def _restore(now: dict[str, Any], before: dict[str, Any]) -> None:
    now.clear()
    now.update(before)


class _Watch:
    """Recorder of the rows that keys and values are projected from during a trial."""

    def __init__(self, module: Any) -> None:
        found = (getattr(module, name, None) for name in ("to_k", "to_v"))
        self._projections = [one for one in found if isinstance(one, nn.Module)]
        self.rows: dict[int, list[int]] = {}
        self._hooks: list[Any] = []

    @property
    def split(self) -> bool:
        """Whether some projection got other rows than all, or ran more than once in a pass."""
        # The trial makes three passes: two of all rows, one of half of them.
        return any(rows != [ROWS, ROWS, ROWS // 2] for rows in self.rows.values())

    def __enter__(self) -> _Watch:
        for projection in self._projections:
            self._hooks.append(projection.register_forward_pre_hook(self._see))
        return self

    def __exit__(self, *_: Any) -> None:
        for hook in self._hooks:
            hook.remove()

    def _see(self, module: nn.Module, args: Any) -> None:
        self.rows.setdefault(id(module), []).append(len(args[0]))


def _trial(module: Any, processor: Any) -> bool:
    """Whether each row's result depends on that row alone."""
    weight = next(module.parameters())
    dtype = weight.dtype if weight.is_floating_point() else torch.float32
    device = torch.device("cpu") if weight.is_meta else weight.device

    def tokens(count: int, projection: Any) -> Tensor:
        noise = torch.randn(ROWS, count, projection.in_features)
        return noise.to(device=device, dtype=dtype)

    hidden = tokens(TOKENS, module.to_q)
    added = getattr(module, "add_k_proj", None)
    words = None
    if added is not None:
        words = tokens(WORDS, added)
    elif getattr(module, "is_cross_attention", False):
        words = tokens(WORDS, module.to_k)

    def run(choose: Callable[[Tensor], Tensor]) -> list[Tensor]:
        given = {} if words is None else {"encoder_hidden_states": choose(words)}
        made = processor(module, choose(hidden), **given)
        return list(made) if isinstance(made, tuple) else [made]

    whole = run(lambda rows: rows)
    turned = [one.flip(0) for one in run(lambda rows: rows.flip(0))]
    half = run(lambda rows: rows[: ROWS // 2])
    pairs = [*zip(whole, turned, strict=True)]
    pairs += [(one[: ROWS // 2], few) for one, few in zip(whole, half, strict=True)]
    return all(_close(one, other) for one, other in pairs)


def _close(one: Tensor, other: Tensor) -> bool:
    far = (one.float() - other.float()).norm()
    return bool(far <= TOLERANCE * one.float().norm())
