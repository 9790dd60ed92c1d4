"""Check that a loaded pipeline is complete: every weight from the files, every word in the
tokenizer.

diffusers and transformers load incomplete folders without an error. A text encoder's missing
tensors are then random, a network's stay without values, and a tokenizer without its file has a
vocabulary of two. Each case only leaves a line in the log.
"""

from __future__ import annotations

import functools
import re
import threading
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from diffusers import ModelMixin
from safetensors import SafetensorError
from torch import nn
from transformers import PreTrainedModel

from accel.models.files import weight_file
from strategies import StrategyError

SHOWN = 3  # Keys that a message names.
# A vocabulary is padded to a round number of rows by a few in a hundred: T5's 32100 to 32128.
LEAST_SHARE = 0.9
# Tables that older versions kept in files and today's compute.
COMPUTED = re.compile(r"(^|\.)(position_ids|inv_freq|pos_embed\.pos_embed|num_batches_tracked)$")
# Keys of the larger model that a text encoder's files may contain.
REST = re.compile(
    r"^(logit_scale|logit_bias|visual_projection|text_projection|vision_model|lm_head|decoder)\b"
)


@dataclass
class Loaded:
    """Report on one part by the library that loaded it.

    Attributes:
        module: the part.
        missing: weights of the part that its files lack.
        unexpected: weights in its files that the part does not have.
    """

    module: nn.Module
    missing: list[str] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)


_ONE_AT_A_TIME = threading.Lock()


@contextmanager
def watched() -> Iterator[list[Loaded]]:
    """Collect the reports of diffusers and transformers on each part that is loaded in the block.

    A pipeline's `from_pretrained` does not pass these reports on. Both libraries' loading functions
    are therefore asked for them here.
    """
    found: list[Loaded] = []
    with _ONE_AT_A_TIME, ExitStack() as stack:
        for kind in (ModelMixin, PreTrainedModel):
            stack.enter_context(_reporting(kind, found))
        yield found


@contextmanager
def _reporting(kind: Any, found: list[Loaded]) -> Iterator[None]:
    own = kind.__dict__["from_pretrained"]

    @functools.wraps(own.__func__)
    def from_pretrained(cls: Any, source: Any, *args: Any, **kwargs: Any) -> Any:
        asked = kwargs.pop("output_loading_info", False)
        kwargs["output_loading_info"] = True
        try:
            module, report = own.__func__(cls, source, *args, **kwargs)
        except (RuntimeError, KeyError, TypeError, SafetensorError) as error:
            # Without config.json transformers takes the default sizes of the class.
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise ValueError(
                f"the files in {Path(source).name} are cut or do not fit its config.json, or this "
                f"is lost ({reason})"
            ) from error
        missing, unexpected = (sorted(report[f"{n}_keys"]) for n in ("missing", "unexpected"))
        found.append(Loaded(module, missing, [k for k in unexpected if not _harmless(module, k)]))
        return (module, report) if asked else module

    kind.from_pretrained = classmethod(from_pretrained)
    try:
        yield
    finally:
        kind.from_pretrained = own


def _harmless(module: nn.Module, key: str) -> bool:
    """Whether an unexpected key does not matter to the images."""
    rest = isinstance(module, PreTrainedModel) and REST.search(key)
    return bool(rest or COMPUTED.search(key))


def check_complete(name: str, pipe: Any, loaded: Iterable[Loaded]) -> None:
    """Refuse a pipeline that is incomplete.

    Args:
        name: name of the model, for the message.
        pipe: loaded pipeline, not yet moved to its device.
        loaded: reports from `watched`.

    Raises:
        StrategyError: some parts are incomplete; names them and what they lack.
    """
    parts = {key: part for key, part in pipe.components.items() if isinstance(part, nn.Module)}
    reports = {id(one.module): one for one in loaded}
    faults = []
    for key, part in parts.items():
        faults += _of_weights(key, part, reports.get(id(part)))
    for key, part in parts.items():
        if key.startswith("text_encoder"):
            tokenizer = pipe.components.get(key.replace("text_encoder", "tokenizer"))
            faults += _of_words(key, part, tokenizer)
    if faults:
        raise StrategyError(
            f"model {name} is not whole: {'; '.join(faults)}; copy or download it again"
        )


def check_files(name: str, folder: Path) -> None:
    """Refuse a folder whose networks were saved while they held a LoRA, before it is read.

    diffusers writes such a network under PEFT's names. It loads with a warning and then fails, or
    generates from random weights.

    Raises:
        StrategyError: one was; says how to save it.
    """
    for path in sorted(folder.glob("*/*.safetensors")):
        try:
            keys = weight_file.read_header(path).keys
        except StrategyError:
            continue  # The library that loads it says what is wrong.
        if any(".base_layer." in key for key in keys):
            raise StrategyError(
                f"model {name}: {path.parent.name} was saved with a LoRA in place, which no "
                "library reads again; load the model and its LoRA, call pipe.fuse_lora() and "
                "pipe.unload_lora_weights(), then save_pretrained; or unload it, save, and give "
                "the LoRA by --lora"
            )


def _of_weights(key: str, part: nn.Module, report: Loaded | None) -> list[str]:
    """Missing and unexpected weights of a part, in words."""
    faults = []
    named = [*part.named_parameters(), *part.named_buffers()]
    empty = [weight for weight, value in named if value.is_meta]
    # A quantized part's files hold each weight as several tensors under names of their own.
    if report is not None and getattr(part, "hf_quantizer", None) is None:
        empty += [weight for weight in report.missing if weight not in empty]
        if report.unexpected:
            faults.append(f"{key} has no place for {_some(report.unexpected)} of its files")
    if empty:
        faults.insert(0, f"{key} lacks {_some(empty)}")
    return faults


def _of_words(key: str, encoder: Any, tokenizer: Any) -> list[str]:
    """Problems between a text encoder and its tokenizer, in words."""
    if tokenizer is None or not hasattr(encoder, "get_input_embeddings"):
        return []
    name = key.replace("text_encoder", "tokenizer")
    rows = len(encoder.get_input_embeddings().weight)
    if len(tokenizer) < LEAST_SHARE * rows:
        return [
            f"{name} knows {len(tokenizer)} tokens where {key} has embeddings of {rows} "
            "(tokenizer.json, or vocab.json and merges.txt, may be lost)"
        ]
    positions = getattr(encoder.config, "max_position_embeddings", None)
    longest = getattr(tokenizer, "model_max_length", 0)
    if type(encoder).__name__.startswith("CLIP") and positions and longest > positions:
        return [
            f"{name} makes up to {longest:g} tokens where {key} has {positions} positions "
            "(tokenizer_config.json may be lost)"
        ]
    return []


def _some(keys: list[str]) -> str:
    more = len(keys) - SHOWN
    return ", ".join(keys[:SHOWN]) + (f" and {more} more" if more > 0 else "")
