"""Last touches to a pipeline of a single file, which diffusers leaves other than that of a folder.

diffusers leaves T5 in training mode, so that each encoding drops other values. It fills one of the
two places of a shared weight. It replaces a projection of Stable Diffusion 3 by the identity.
"""

from __future__ import annotations

from typing import Any

import torch
from safetensors import safe_open
from torch import nn
from transformers import PreTrainedModel

from accel.models.files.layouts import SD3, Layout

PROJECTION = "text_encoders.clip_l.transformer.text_projection.weight"


@torch.no_grad()
def finish_pipeline(pipe: Any, found: Layout) -> None:
    """Bring a pipeline into the state that the folder of the same model would have.

    Args:
        pipe: pipeline that diffusers has read.
        found: content of the file.
    """
    for part in pipe.components.values():
        if isinstance(part, PreTrainedModel):
            part.tie_weights()
        if isinstance(part, nn.Module):
            part.eval()
    if found.architecture is SD3 and PROJECTION in found.file.keys:
        with safe_open(found.file.path, "pt") as file:
            pipe.text_encoder.text_projection.weight.copy_(file.get_tensor(PROJECTION))
