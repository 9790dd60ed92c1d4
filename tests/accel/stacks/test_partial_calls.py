"""Partial calls of the family `transformer` against all tokens on old keys and values."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

import accel
from accel import families
from tests.support.pipelines.stack_pipelines import build, draw, strategy
from tests.support.scripted_tokens import Scripted
from tests.support.stacks.token_cases import TOKENS, cast, passes

CHOICES: list[Any] = [None, None, 0.3, 0.5, None, 0.25]
SHARES = [1.0 if share is None else share for share in CHOICES]


class Reference:
    """All tokens run at every call; rows that are not chosen are put back where it matters.

    Those are keys and values of the image's tokens, and the projection.
    """

    def __init__(self, pipe: Any, chosen: dict[int, Tensor], passes: int, total: int) -> None:
        self.chosen, self.passes, self.total = chosen, passes, total
        self.count = -1
        self.kept: dict[tuple[str, int], Tensor] = {}
        network = pipe.transformer
        network.register_forward_pre_hook(self.tick)
        stream = families.find_sites(pipe)[1].stream
        assert stream is not None
        for attention in stream.attentions:
            module: Any = attention.module
            if attention.packed:
                width = module.inner_dim
                hook = self.restore(attention.name, slice(width, 3 * width))
                module.to_qkv_mlp_proj.register_forward_hook(hook)
                continue
            for name in ("to_k", "to_v"):
                hook = self.restore(f"{attention.name}.{name}", slice(None))
                getattr(module, name).register_forward_hook(hook)
        stream.project.register_forward_hook(self.restore("last", slice(None)))

    def tick(self, *_: Any) -> None:
        self.count += 1

    def restore(self, name: str, columns: slice) -> Any:
        def hook(module: Any, args: Any, made: Tensor) -> Tensor:
            call, branch = divmod(self.count, self.passes)
            index, key = self.chosen.get(call), (name, branch)
            if index is not None:
                text = made.shape[1] - self.total
                runs = torch.zeros(len(index), made.shape[1], dtype=torch.bool)
                runs[:, :text] = True
                runs.scatter_(1, index + text, True)
                runs = runs.repeat(len(made) // len(index), 1)[..., None]
                made = made.clone()
                made[..., columns] = torch.where(runs, made[..., columns], self.kept[key])
            self.kept[key] = made[..., columns]
            return made

        return hook


def compared(name: str, batch: int = 1, **given: Any) -> tuple[Tensor, Tensor]:
    """Latents of partial calls and of the reference."""
    pipe = build(name).to(dtype=torch.float64)
    given = cast(name, torch.float64, batch) | given
    accel.apply(pipe, strategy(name, {"cat": {"alpha": SHARES}}))
    scripted = Scripted(pipe)
    mine = draw(pipe, name, batch=batch, **given)
    assert sorted(scripted.chosen) == [2, 3, 5]
    total, kept = accel.stats(pipe)[-1].tokens["image"]
    assert kept == total // 4
    other = build(name).to(dtype=torch.float64)
    plain = draw(other, name, batch=batch, **given)
    assert (mine - plain).norm() > 1e-3 * plain.norm()
    Reference(other, scripted.chosen, passes(name), total)
    return mine, draw(other, name, batch=batch, **given)


@pytest.mark.parametrize("name", [name for name in TOKENS if name != "wan22"])
def test_partial_calls_equal_all_tokens_with_old_keys(name: str) -> None:
    mine, reference = compared(name)
    assert (mine - reference).norm() < 1e-5 * reference.norm()


def test_padded_prompts_are_masked_at_partial_calls_too() -> None:
    """Qwen-Image makes its mask from the tokens that run, Chroma from all."""
    masks = {"qwen": "prompt_embeds_mask", "chroma": "prompt_attention_mask"}
    for name, word in masks.items():
        half = torch.tensor([[1.0, 1.0, 1.0, 0.0, 0.0], [1.0] * 5])
        masked, reference = compared(name, batch=2, **{word: half})
        assert (masked - reference).norm() < 1e-5 * reference.norm()
        whole, _ = compared(name, batch=2)
        assert (masked[0] - whole[0]).norm() > 1e-3 * whole[0].norm()
