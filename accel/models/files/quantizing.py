"""Quantised weights: one part of a loaded pipeline gets weights of fewer bits."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

import torch

from accel.models.parts import Quantize
from strategies import StrategyError

# Module that each backend is imported as, and the package to install.
PACKAGES = {
    "torchao": ("torchao", "torchao"),
    "quanto": ("optimum.quanto", "optimum-quanto"),
    "bitsandbytes": ("bitsandbytes", "bitsandbytes"),
}


def check_backends(chosen: Sequence[Quantize]) -> None:
    """Check that the backends are installed, before a model is loaded.

    Raises:
        StrategyError: one is not; names the package.
    """
    for one in chosen:
        if not is_installed(one.backend):
            package = PACKAGES[one.backend][1]
            raise StrategyError(
                f"--quantize {one.backend}:{one.type} needs the package {package}; pip install "
                f"{package}"
            )


def is_installed(backend: str) -> bool:
    """Whether the package of a backend is there; `layerwise` needs none."""
    if backend not in PACKAGES:
        return True
    try:
        return find_spec(PACKAGES[backend][0]) is not None
    except ModuleNotFoundError:  # Of the package around it.
        return False


def is_quantized(part: torch.nn.Module) -> bool:
    """Whether a network has weights of fewer bits already, from its own files."""
    if getattr(part, "hf_quantizer", None) is not None:
        return True
    return any(type(one).__module__.startswith("optimum.quanto") for one in part.modules())


def quantize(pipe: Any, chosen: Sequence[Quantize], dtype: torch.dtype) -> None:
    """Quantise parts of a pipeline.

    Args:
        pipe: loaded pipeline.
        chosen: which parts, and to which types.
        dtype: precision that they compute in.

    Raises:
        StrategyError: a part does not exist, or cannot be quantised so.
    """
    for one in chosen:
        name = one.part or ("unet" if getattr(pipe, "unet", None) is not None else "transformer")
        part = pipe.components.get(name)
        if not isinstance(part, torch.nn.Module):
            there = [k for k, v in pipe.components.items() if isinstance(v, torch.nn.Module)]
            raise StrategyError(
                f"--quantize: {type(pipe).__name__} has no network {name!r}; there are "
                f"{', '.join(there)}"
            )
        if is_quantized(part):
            raise StrategyError(f"--quantize: {name} is quantised already by its own files")
        try:
            _BACKENDS[one.backend](part, one.type, dtype)
        except (ValueError, RuntimeError, TypeError, ImportError, NotImplementedError) as error:
            reason = " ".join(str(error).split())[:200]
            raise StrategyError(
                f"--quantize {one.backend}:{one.type} of {name} failed: {reason}"
            ) from None


def _torchao(part: Any, kind: str, dtype: torch.dtype) -> None:
    import torchao.quantization as ao

    configs = {
        "int8": "Int8WeightOnlyConfig",
        "int8-dynamic": "Int8DynamicActivationInt8WeightConfig",
        "float8": "Float8WeightOnlyConfig",
    }
    ao.quantize_(part, getattr(ao, configs[kind])())


def _quanto(part: Any, kind: str, dtype: torch.dtype) -> None:
    from optimum import quanto

    quanto.quantize(part, weights={"int8": quanto.qint8, "int4": quanto.qint4,
                                   "float8": quanto.qfloat8}[kind])  # fmt: skip
    quanto.freeze(part)


def _bitsandbytes(part: Any, kind: str, dtype: torch.dtype) -> None:
    from bitsandbytes import nn as bnb

    for name, layer in list(part.named_modules()):
        if type(layer) is not torch.nn.Linear:
            continue
        sizes, bias = (layer.in_features, layer.out_features), layer.bias is not None
        if kind == "int8":
            made = bnb.Linear8bitLt(*sizes, bias=bias, has_fp16_weights=False)
        else:
            made = bnb.Linear4bit(*sizes, bias=bias, compute_dtype=dtype, quant_type="nf4")
        made.load_state_dict(layer.state_dict())
        home, _, last = name.rpartition(".")
        setattr(part.get_submodule(home), last, made)


def _layerwise(part: Any, kind: str, dtype: torch.dtype) -> None:
    if not hasattr(part, "enable_layerwise_casting"):
        raise ValueError(f"{type(part).__name__} has no layerwise casting")
    part.enable_layerwise_casting(storage_dtype=torch.float8_e4m3fn, compute_dtype=dtype)


_BACKENDS = {
    "torchao": _torchao,
    "quanto": _quanto,
    "bitsandbytes": _bitsandbytes,
    "layerwise": _layerwise,
}
