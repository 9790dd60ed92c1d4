"""Check that an attached strategy is still where the network runs it."""

from __future__ import annotations

from typing import Any

from torch import nn

from accel.compatibility.context_parallel import shares_tokens
from accel.compatibility.fused_attention import is_fused
from accel.patching.replacing import Attachment
from accel.patching.slots import reached
from accel.sites import Sites

Fact = tuple[Any, ...]
# State of a layer that PEFT put in the place of another.
ADAPTED = ("scaling", "merged_adapters", "_active_adapter", "_disable_adapters")


class Placement:
    """Snapshot of a network at the time a strategy was attached.

    It holds everything that decides how methods attach: the modules, whether projections are fused,
    the hooks of blocks, and the weights if equal ones are computed once.
    """

    def __init__(self, sites: Sites, attachment: Attachment) -> None:
        self.sites, self.attachment = sites, attachment
        parents = {
            id(child): (parent, name, child)
            for parent in sites.denoiser.modules()
            for name, child in parent._modules.items()
            if child is not None
        }
        self._edges: dict[tuple[int, str], tuple[nn.Module, str, nn.Module]] = {}
        for module in attachment.modules:
            edge = parents.get(id(module))
            while edge is not None and (id(edge[0]), edge[1]) not in self._edges:
                self._edges[id(edge[0]), edge[1]] = edge
                edge = parents.get(id(edge[0]))
        self._facts = _facts(sites)

    def holds(self, outer: Any) -> bool:
        """Whether the network that a pipeline holds now matches the snapshot.

        Args:
            outer: that network, with the wrapper of `torch.compile` if there is one.
        """
        return (
            outer is self.attachment.outer
            and all(parent._modules.get(n) is child for parent, n, child in self._edges.values())
            and all(reached(patched, outer) for patched in self.attachment.patches)
            and _facts(self.sites) == self._facts
        )


def _facts(sites: Sites) -> list[Fact]:
    attentions = [] if sites.stream is None else [one.module for one in sites.stream.attentions]
    modules = [*(part.module for part in sites.parts), *attentions]
    fused = tuple(is_fused(module) for module in modules)
    stages = [stage.block for stage in (*sites.down, *sites.up)]
    hooks = tuple("_diffusers_hook" in vars(block) for block in stages)
    lists = [getattr(sites.denoiser, name, ()) for one in sites.stack for name in one.modules]
    blocks = tuple(tuple(map(id, modules)) for modules in lists)
    shared = (shares_tokens(sites.denoiser),)
    return [fused, hooks, blocks, shared, *(_weights(module) for module in sites.embedders)]


def _weights(module: nn.Module) -> Fact:
    """Fact that changes if weights are replaced, overwritten, or adapted in another way."""
    weights = tuple(
        (id(weight), weight.dtype, 0 if weight.is_inference() else weight._version)
        for weight in module.parameters()
    )
    adapters = tuple(
        tuple(str(vars(one).get(name)) for name in ADAPTED)
        for one in module.modules()
        if "merged_adapters" in vars(one)
    )
    return weights, adapters
