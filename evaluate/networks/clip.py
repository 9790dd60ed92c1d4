"""CLIP image and text embeddings (Radford et al., 2021), with transformers' networks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torchvision.transforms import functional as transforms
from torchvision.transforms.functional import InterpolationMode
from transformers import CLIPModel, CLIPTokenizer

from evaluate.networks.base import Extract, Pixels

MEAN = (0.48145466, 0.4578275, 0.40821073)
SPREAD = (0.26862954, 0.26130258, 0.27577711)
Prepare = Callable[[Pixels, int], Image.Image]


def cropped(image: Pixels, size: int) -> Image.Image:
    """Image with its shorter side resized, then its centre cut out, as CLIP and clean-fid do."""
    small = transforms.resize(Image.fromarray(image), [size], InterpolationMode.BICUBIC)
    found: Image.Image = transforms.center_crop(small, [size, size])
    return found


def squeezed(image: Pixels, size: int) -> Image.Image:
    """Image resized to a square, as CMMD does."""
    return Image.fromarray(image).resize((size, size), Image.Resampling.BICUBIC)


def to_tensor(images: Sequence[Pixels], size: int, prepare: Prepare = cropped) -> Tensor:
    """Normalised pixels `[n, 3, size, size]` as CLIP and BLIP read them."""
    rows = [transforms.to_tensor(prepare(image, size)) for image in images]
    found: Tensor = transforms.normalize(torch.stack(rows), list(MEAN), list(SPREAD))
    return found


def _model(files: list[Path], device: str) -> Any:
    model = CLIPModel.from_pretrained(files[0].parent, local_files_only=True, dtype=torch.float32)
    return model.to(device).eval().requires_grad_(False)


def embed_images(model: Any, images: Sequence[Pixels], prepare: Prepare = cropped) -> Tensor:
    """Projected image embeddings `[n, d]`, not normalised."""
    size = model.config.vision_config.image_size
    pixels = to_tensor(images, size, prepare).to(model.device)
    hidden = model.vision_model(pixel_values=pixels).pooler_output
    found: Tensor = model.visual_projection(hidden)
    return found


def embed_texts(model: Any, tokenizer: Any, texts: Sequence[str]) -> Tensor:
    """Projected text embeddings `[n, d]`, not normalised. Texts that are too long are cut."""
    tokens = tokenizer(list(texts), padding="max_length", truncation=True, return_tensors="pt",
                       max_length=model.config.text_config.max_position_embeddings)  # fmt: skip
    hidden = model.text_model(**tokens.to(model.device)).pooler_output
    found: Tensor = model.text_projection(hidden)
    return found


def base(files: list[Path], device: str) -> Extract:
    """CLIP's image embeddings, not normalised."""
    model = _model(files, device)

    def extract(images: Sequence[Pixels], _: Sequence[str]) -> NDArray[np.floating[Any]]:
        found: NDArray[np.float32] = embed_images(model, images).cpu().numpy()
        return found

    return extract


def large(files: list[Path], device: str) -> Extract:
    """CLIP's image embeddings of squeezed images, normalised."""
    model = _model(files, device)

    def extract(images: Sequence[Pixels], _: Sequence[str]) -> NDArray[np.floating[Any]]:
        found = torch.nn.functional.normalize(embed_images(model, images, squeezed), dim=-1)
        result: NDArray[np.float32] = found.cpu().numpy()
        return result

    return extract


def caption_scores(files: list[Path], device: str) -> Extract:
    """CLIP score of each image with its caption."""
    model = _model(files, device)
    tokenizer = CLIPTokenizer.from_pretrained(files[0].parent, local_files_only=True)

    def extract(images: Sequence[Pixels], texts: Sequence[str]) -> NDArray[np.floating[Any]]:
        seen, said = embed_images(model, images), embed_texts(model, tokenizer, texts)
        cosine = torch.nn.functional.cosine_similarity(seen, said)
        found: NDArray[np.float32] = (100 * cosine).clamp(min=0)[:, None].cpu().numpy()
        return found

    return extract
