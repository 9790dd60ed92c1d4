"""Kinds of sources that a model's weights come from. Read without torch and diffusers."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

from strategies import StrategyError

Kind = Literal["bundled", "folder", "file", "function", "hub"]
FILES = (".safetensors", ".gguf")
# Formats that run code of theirs when they are loaded.
EXECUTED = (".ckpt", ".pt", ".pth", ".bin", ".pkl", ".pickle")
FUNCTION = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")
BUNDLED = "zoo:"


def kind_of(source: str) -> Kind:
    """The kind of a source.

    Raises:
        StrategyError: it is a file of a format that runs code, or a file that does not exist.
    """
    if source.startswith(BUNDLED):
        return "bundled"
    if Path(source).is_dir():
        return "folder"
    refuse_executed(source)
    if source.lower().endswith(FILES):
        if not Path(source).is_file():
            raise StrategyError(f"{source}: no such file; give a .safetensors or .gguf file")
        return "file"
    return "function" if FUNCTION.fullmatch(source) else "hub"


def is_function(source: str) -> bool:
    """Whether a source names a function of the user's, as `module:function`."""
    return not source.startswith(BUNDLED) and FUNCTION.fullmatch(source) is not None


def is_named_directly(name: str) -> bool:
    """Whether a model's name on the command line is a source, and needs no config.

    Raises:
        StrategyError: it is a file of a format that runs code, or a file that does not exist.
    """
    return kind_of(name) in ("folder", "file", "function") or "/" in name


def refuse_executed(path: str) -> None:
    """Refuse a file whose format runs code when it is loaded.

    Raises:
        StrategyError: it is one.
    """
    suffix = Path(path).suffix.lower()
    if suffix in EXECUTED:
        raise StrategyError(
            f"{path}: {suffix} files can run any code when they are loaded; give the same weights "
            "as .safetensors"
        )
