"""Single files of full size beside the same weights as a folder: equal, and of equal memory.

Each is loaded in a process of its own, after the imports. Seconds until it is loaded, and
until all weights were read once, are printed, not checked.
"""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
from pathlib import Path
from statistics import median
from typing import Any

import diffusers
import pytest
import torch
from safetensors.torch import save_file
from transformers import CLIPTokenizer

from accel.models.config import read_model
from accel.models.random_weights import network
from strategies.data_files.configs import read_config
from tests.support.models import original_layout as original

LOAD = """
import json, sys, time
from pathlib import Path
import diffusers.loaders.single_file
import torch
import transformers.models.clip.modeling_clip
from diffusers import StableDiffusionPipeline, StableDiffusionXLPipeline
from accel.models.loading import load_source
from accel.models.parts import ModelParts

def peak():
    # That of getrusage begins with the peak of the process that started this one.
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))

before = peak()
began = time.perf_counter()
pipe = load_source("model", sys.argv[1], ModelParts(base=sys.argv[2]), torch.float16)
loading = time.perf_counter() - began
parts = {n: p for n, p in pipe.components.items() if isinstance(p, torch.nn.Module)}
# Files are mapped: a weight is read when it is used first.
sums = {n: sum(float(w.double().sum()) for w in p.parameters()) for n, p in parts.items()}
seconds, most = time.perf_counter() - began, peak()
found = {"loading": loading, "seconds": seconds, "peak": most, "before": before, "sums": sums}
print(json.dumps(found))
"""
TURNS = 3


def build(name: str) -> Any:
    """A pipeline of a config with random weights in float16."""
    config = read_model(name)
    parts: dict[str, Any] = {}
    for part, recipe in config.components.items():
        if recipe.kind.endswith("Scheduler"):
            values = read_config("networks", recipe.config)
            parts[part] = getattr(diffusers, recipe.kind).from_config(values)
            continue
        torch.set_default_dtype(torch.float16)
        try:
            with torch.device("meta"):
                made: Any = network(recipe)
        finally:
            torch.set_default_dtype(torch.float32)
        parts[part] = made.to_empty(device="cpu")
        fill(parts[part])
        if part.startswith("text_encoder"):
            words = {f"w{n}": n for n in range(made.config.vocab_size - 2)}
            words |= {"<|startoftext|>": len(words), "<|endoftext|>": len(words) + 1}
            parts[part.replace("text_encoder", "tokenizer")] = CLIPTokenizer(
                vocab=words, merges=[], model_max_length=77
            )
    if "safety_checker" in getattr(diffusers, config.pipeline)._optional_components:
        parts |= {"safety_checker": None, "feature_extractor": None}
        parts["requires_safety_checker"] = False
    return getattr(diffusers, config.pipeline)(**parts)


@torch.no_grad()
def fill(module: torch.nn.Module) -> None:
    """Fill all weights and tables; a block of noise is repeated, which takes no time."""
    noise = torch.randn(1 << 20, generator=torch.Generator().manual_seed(0)).half() * 0.02
    value: torch.Tensor
    for number, value in enumerate(module.parameters()):
        flat, shift = value.view(-1), number % 1000
        for start in range(0, len(flat), len(noise) - shift):
            rest = flat[start : start + len(noise) - shift]
            rest.copy_(noise[shift : shift + len(rest)])
    for name, value in module.named_buffers():
        rows = torch.arange(value.numel()).reshape(value.shape)
        value.copy_(rows if name.endswith("position_ids") else torch.zeros(()))


def loaded(source: Path, base: Path | str = "") -> dict[str, Any]:
    command = [sys.executable, "-W", "ignore", "-c", LOAD, str(source), str(base)]
    done = subprocess.run(command, capture_output=True, text=True, env=dict(os.environ))
    assert done.returncode == 0, done.stderr[-2000:]
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.slow
@pytest.mark.parametrize("name", ["sd15", "sdxl"])
def test_a_file_needs_no_more_memory_than_a_folder(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base, file = tmp_path / "base", tmp_path / "model.safetensors"
    pipe = build(name)
    pipe.save_pretrained(base)
    found = {key: value.contiguous() for key, value in original.weights(pipe).items()}
    del pipe
    gc.collect()
    save_file(found, file)
    del found
    gc.collect()
    file_size = file.stat().st_size / 1024
    # In turns, since what was read lately is read faster.
    turns = [(loaded(base), loaded(file, base)) for _ in range(TURNS)]
    folder, single = zip(*turns, strict=True)
    for path in [file, *base.glob("*/*.safetensors")]:
        path.unlink()
    assert folder[0]["sums"] == single[0]["sums"]
    peaks = [min(one["peak"] for one in rows) for rows in (folder, single)]
    times = [
        " and ".join(f"{median(one[key] for one in rows):.1f}" for key in ("loading", "seconds"))
        for rows in (folder, single)
    ]
    with capsys.disabled():
        print(
            f"\n{name}: folder {times[0]} s, {peaks[0] / 2**20:.2f} GiB; "
            f"file {times[1]} s, {peaks[1] / 2**20:.2f} GiB; "
            f"of these {folder[0]['before'] / 2**20:.2f} GiB before loading"
        )
    assert min(peaks) > folder[0]["before"] + 0.5 * file_size
    assert peaks[1] <= 1.1 * peaks[0]
