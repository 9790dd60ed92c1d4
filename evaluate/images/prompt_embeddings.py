"""Prompt embeddings: the results of a pipeline's text encoders, kept from one strategy to the next.

A search generates the same batches of prompts for every strategy. The text encoders' results do not
depend on the strategy, so they are computed once for each batch. They are kept by everything that
the pipeline passes to `encode_prompt`, and returned bit for bit.
"""

from __future__ import annotations

import inspect
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

ENCODE = "encode_prompt"  # Name of the method in diffusers' pipelines.
TEXT_ENCODER = "text_encoder"  # Beginning of the names of the parts that encode prompts.
LIMIT = 2**31  # Bytes that are kept, at most.
PLAIN = (str, int, float, bool, type(None), torch.dtype)
Key = tuple[Any, ...]


class PromptEmbeddings:
    """Embeddings of the prompts of one pipeline, in main memory.

    A pipeline without `encode_prompt` is left alone. So is a call with arguments other than texts,
    numbers and devices, such as images or given embeddings.

    Args:
        pipe: pipeline whose text encoders stay as they are.
        limit: bytes that are kept, at most; the embeddings used longest ago go first.
    """

    def __init__(self, pipe: Any, limit: int = LIMIT) -> None:
        self._pipe, self._limit = pipe, limit
        self._kept: OrderedDict[Key, tuple[Any, int]] = OrderedDict()
        self._bytes = 0
        method = getattr(type(pipe), ENCODE, None)
        self._signature = None if method is None else inspect.signature(method)

    @contextmanager
    def reused(self) -> Iterator[None]:
        """Reuse embeddings inside the `with` block. Never enter it to measure time or memory."""
        if self._signature is None or ENCODE in vars(self._pipe):
            yield
            return
        vars(self._pipe)[ENCODE] = self._encode
        try:
            yield
        finally:
            del vars(self._pipe)[ENCODE]

    def _encode(self, *args: Any, **kwargs: Any) -> Any:
        method = getattr(type(self._pipe), ENCODE)
        key = self._key(args, kwargs)
        if key is None or self._trains():
            return method(self._pipe, *args, **kwargs)
        if key not in self._kept:
            found = method(self._pipe, *args, **kwargs)
            size = _size(found)
            if size is None or size > self._limit:
                return found
            self._kept[key] = _moved(found, torch.device("cpu")), size
            self._bytes += size
            while self._bytes > self._limit:
                self._bytes -= self._kept.popitem(last=False)[1][1]
        self._kept.move_to_end(key)
        return _moved(self._kept[key][0], self._pipe._execution_device)

    def _key(self, args: Any, kwargs: Any) -> Key | None:
        """Key of a call; None if its result may depend on more than the key can hold."""
        assert self._signature is not None
        given = self._signature.bind(self._pipe, *args, **kwargs).arguments
        rows = [_plain(value) for name, value in given.items() if name != "self"]
        if given.get("lora_scale") is not None or any(row is None for row in rows):
            return None
        return tuple(zip(given, rows, strict=False))

    def _trains(self) -> bool:
        """Whether a text encoder is in training mode, so that two calls may give two results."""
        parts = self._pipe.components.items()
        encoders = [one for name, one in parts if name.startswith(TEXT_ENCODER)]
        return any(one.training for one in encoders if isinstance(one, nn.Module))


def _plain(value: Any) -> Key | None:
    """Hashable form of an argument; None if it has none."""
    if isinstance(value, PLAIN):
        return type(value).__name__, value
    if isinstance(value, torch.device):
        return "device", str(value)
    if isinstance(value, list | tuple):
        rows = [_plain(one) for one in value]
        return None if None in rows else (type(value).__name__, *rows)
    return None


def _size(found: Any) -> int | None:
    """Bytes of a result; None if it holds anything but tensors."""
    if found is None:
        return 0
    if isinstance(found, Tensor):
        return found.numel() * found.element_size()
    if type(found) in (list, tuple):
        sizes = [_size(one) for one in found]
        return None if None in sizes else sum(size or 0 for size in sizes)
    return None


def _moved(found: Any, device: torch.device) -> Any:
    """Copy of a result on a device."""
    if isinstance(found, Tensor):
        return found.detach().to(device, copy=True)
    if found is None:
        return None
    return type(found)(_moved(one, device) for one in found)
