"""Adding of textual inversions to a pipeline."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from accel.models.files import weight_file
from accel.models.parts import Embedding
from accel.models.sources import refuse_executed
from strategies import StrategyError

FAULTS = (OSError, ValueError, LookupError, RuntimeError, TypeError, AttributeError)
# Matrix of each text encoder in a file for several.
ENCODERS = {"clip_l": "", "clip_g": "_2"}


def add(pipe: Any, embeddings: Sequence[Embedding]) -> list[str]:
    """Add words to the tokenizers and text encoders of a pipeline.

    Args:
        pipe: loaded pipeline.
        embeddings: textual inversions.

    Returns:
        Lines for people: the words that prompts may use.

    Raises:
        StrategyError: a file is damaged or of another model, or the pipeline takes none.
    """
    told = []
    for one in embeddings:
        refuse_executed(one.path)
        if not hasattr(pipe, "load_textual_inversion"):
            raise StrategyError(f"--embedding: {type(pipe).__name__} takes no textual inversion")
        weight_file.read_header(one.path)
        try:
            told.append(_add(pipe, one, load_file(one.path)))
        except (*FAULTS, SafetensorError) as error:
            reason = " ".join(str(error).split())[:200]
            raise StrategyError(
                f"--embedding {one.path} does not fit this {type(pipe).__name__}: {reason}"
            ) from None
    return told


def _add(pipe: Any, one: Embedding, tensors: dict[str, Tensor]) -> str:
    second = getattr(pipe, "text_encoder_2", None) is not None
    if set(tensors) <= set(ENCODERS):
        token = one.token or str(one.path).rpartition("/")[2].removesuffix(".safetensors")
        for key, end in ENCODERS.items():
            if key in tensors:
                pipe.load_textual_inversion(
                    tensors[key],
                    token=token,
                    text_encoder=getattr(pipe, f"text_encoder{end}"),
                    tokenizer=getattr(pipe, f"tokenizer{end}"),
                )
        return f"embedding {one.path}: {token}"
    if second:
        raise StrategyError(
            f"--embedding {one.path} has one matrix, and {type(pipe).__name__} has several text "
            f"encoders; give a file with {' and '.join(ENCODERS)}"
        )
    (name, *_) = tensors
    token = one.token or ("" if name == "emb_params" else name)
    token = token or str(one.path).rpartition("/")[2].removesuffix(".safetensors")
    pipe.load_textual_inversion(one.path, token=token)
    return f"embedding {one.path}: {token}"
