"""Stand-ins for ComfyUI's published interface: models, patches, samplers and conditionings.

The names, arguments and orders are those that nodes meet there. The networks are tiny.
"""

from __future__ import annotations

import copy
import itertools
from typing import Any

import torch
from torch import Tensor, nn


class EPS:
    """Prediction of the noise."""


class V_PREDICTION(EPS):  # noqa: N801
    """Prediction of a velocity, which the node refuses."""


class CONST:
    """Prediction of a flow."""


class UNetModel(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer = nn.Conv2d(4, 4, 3, padding=1)
        self.ran: list[int] = []

    def forward(self, x: Tensor, t: Tensor, context: Tensor, transformer_options: Any) -> Tensor:
        self.ran.append(len(x))
        return torch.tanh(self.layer(x) + context.mean((1, 2))[:, None, None, None] + t.mean() / 9)


class Block(nn.Module):
    def __init__(self, width: int, streams: int) -> None:
        super().__init__()
        self.maps = nn.ModuleList(nn.Linear(width, width) for _ in range(streams))
        self.ran = 0

    def forward(self, vec: Tensor, *tokens: Tensor) -> list[Tensor]:
        self.ran += 1
        both = sum(one.mean(1, keepdim=True) for one in tokens)
        found = []
        for layer, one in zip(self.maps, tokens, strict=True):
            one += torch.tanh(layer(one + both) + vec)  # In place, as some blocks do.
            found.append(one)
        return found


class Flux(nn.Module):
    """Double blocks on image and text, then single blocks on both joined."""

    def __init__(self, double: int = 3, single: int = 4) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.double_blocks = nn.ModuleList(Block(4, 2) for _ in range(double))
        self.single_blocks = nn.ModuleList(Block(4, 1) for _ in range(single))
        self.ran: list[int] = []

    def forward(self, x: Tensor, t: Tensor, context: Tensor, transformer_options: Any) -> Tensor:
        self.ran.append(len(x))
        replaced = transformer_options.get("patches_replace", {}).get("dit", {})
        img, txt = x.flatten(2).mT.clone(), context.clone()
        vec = t[:, None, None] / 7
        for i, block in enumerate(self.double_blocks):

            def double(args: dict[str, Any], block: Any = block) -> dict[str, Tensor]:
                img, txt = block(args["vec"], args["img"], args["txt"])
                return {"img": img, "txt": txt}

            given: dict[str, Any] = {"img": img, "txt": txt, "vec": vec, "pe": None}
            if ("double_block", i) in replaced:
                out = replaced["double_block", i](given, {"original_block": double})
            else:
                out = double(given)
            img, txt = out["img"], out["txt"]
        img = torch.cat([txt, img], 1)
        for i, block in enumerate(self.single_blocks):

            def single(args: dict[str, Any], block: Any = block) -> dict[str, Tensor]:
                return {"img": block(args["vec"], args["img"])[0]}

            given = {"img": img, "vec": vec, "pe": None}
            if ("single_block", i) in replaced:
                out = replaced["single_block", i](given, {"original_block": single})
            else:
                out = single(given)
            img = out["img"]
        return img[:, txt.shape[1] :].mT.unflatten(2, x.shape[2:])


class BaseModel:
    def __init__(self, network: nn.Module, predicts: type = EPS) -> None:
        self.diffusion_model = network
        self.model_sampling = type("ModelSampling", (predicts,), {})()

    def apply_model(self, x: Tensor, t: Tensor, c_crossattn: Tensor, **options: Any) -> Tensor:
        """The image without noise."""
        f = self.diffusion_model(x, t, c_crossattn, options["transformer_options"])
        return x - t.reshape(-1, 1, 1, 1) * f


class ModelPatcher:
    def __init__(self, model: BaseModel) -> None:
        self.model = model
        self.model_options: dict[str, Any] = {"transformer_options": {}}

    def clone(self) -> ModelPatcher:
        made = ModelPatcher(self.model)
        made.model_options = copy.copy(self.model_options)
        made.model_options["transformer_options"] = copy.deepcopy(
            self.model_options["transformer_options"]
        )
        return made

    def set_model_unet_function_wrapper(self, wrapper: Any) -> None:
        self.model_options["model_function_wrapper"] = wrapper

    def set_model_sampler_calc_cond_batch_function(self, function: Any) -> None:
        self.model_options["sampler_calc_cond_batch_function"] = function

    def set_model_patch_replace(self, patch: Any, name: str, block: str, number: int) -> None:
        options = self.model_options["transformer_options"]
        options.setdefault("patches_replace", {}).setdefault(name, {})[block, number] = patch


BATCHED = {"halves": True}  # Whether both halves of guidance fit into memory together.


def calc_cond_batch(
    model: Any, conds: list[Any], x: Tensor, timestep: Tensor, model_options: dict[str, Any]
) -> list[Tensor]:
    """Predictions of all conditionings, in one pass or in several."""
    there = [kind for kind, cond in enumerate(conds) if cond is not None]
    passes = [there[::-1]] if BATCHED["halves"] else [[kind] for kind in there]
    found = [torch.zeros_like(x) for _ in conds]
    for kinds in passes:
        c = {
            "c_crossattn": torch.cat([conds[kind] for kind in kinds]),
            "transformer_options": model_options["transformer_options"] | {"cond_or_uncond": kinds},
        }
        given = torch.cat([x] * len(kinds)), torch.cat([timestep] * len(kinds))
        wrapper = model_options.get("model_function_wrapper")
        if wrapper is None:
            out = model.apply_model(*given, **c)
        else:
            rows = {"input": given[0], "timestep": given[1], "c": c, "cond_or_uncond": kinds}
            out = wrapper(model.apply_model, rows)
        for kind, part in zip(kinds, out.chunk(len(kinds)), strict=True):
            found[kind] = part
    return found


def prompts(rows: int = 1) -> list[Tensor]:
    """A prompt and a negative one."""
    made = torch.Generator().manual_seed(3)
    return [torch.randn(1, 5, 4, generator=made).expand(rows, -1, -1) for _ in range(2)]


def noise(rows: int = 1, size: int = 6) -> Tensor:
    return 3 * torch.randn(rows, 4, size, size, generator=torch.Generator().manual_seed(4))


def levels(steps: int) -> Tensor:
    return torch.cat([torch.linspace(3, 0.2, steps), torch.zeros(1)])


@torch.no_grad()
def sample(
    patcher: ModelPatcher, steps: int, scale: float = 3.0, stop: int | None = None, **given: Any
) -> Tensor:
    """A generation by Euler's method with classifier-free guidance."""
    x, sigmas = noise(**given), levels(steps)
    conds: list[Any] = prompts(len(x))
    if scale == 1:
        conds[1] = None
    options = copy.copy(patcher.model_options)
    options["transformer_options"] = dict(options["transformer_options"], sample_sigmas=sigmas)
    for now, then in itertools.islice(itertools.pairwise(sigmas), stop):
        sigma = now.expand(len(x))
        function = options.get("sampler_calc_cond_batch_function")
        if function is None:
            out = calc_cond_batch(patcher.model, conds, x, sigma, options)
        else:
            args = {"conds": conds, "input": x, "sigma": sigma, "model": patcher.model}
            out = function(args | {"model_options": options})
        image = out[0] if scale == 1 else out[1] + (out[0] - out[1]) * scale
        x = x + (x - image) / now * (then - now)
    return x


def polynomial(points: list[tuple[int, Tensor]], call: int) -> Tensor:
    """Lagrange's polynomial, written out."""
    total = torch.zeros_like(points[0][1])
    for at, value in points:
        weight = 1.0
        for other, _ in points:
            weight *= 1.0 if other == at else (call - other) / (at - other)
        total += weight * value
    return total
