"""Stage of the text encoder, trained contrastively against features of the images it describes.

The image tower is the frozen feature network, as in LiT (Zhai et al., 2022). Only the text side
learns, which takes a minute instead of hours, and gives the denoiser words with a meaning.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from zoo.parts import Parts


def train(parts: Parts, tokens: Tensor, features: Tensor, steps: int) -> None:
    """Train with InfoNCE (CLIP's loss) in batches of 256.

    Args:
        parts: parts whose text encoder is trained in place; its pooled output is matched.
        tokens: int64 `[n, length]`.
        features: features of the image of each caption, `[n, 64]`.
        steps: number of batches.
    """
    encoder = parts.text_encoder
    features = nn.functional.normalize(features - features.mean(0), dim=-1)
    project = nn.Linear(encoder.config.hidden_size, features.shape[1])
    scale = nn.Parameter(torch.tensor(2.3))
    parameters = [*encoder.parameters(), *project.parameters(), scale]
    optimizer = torch.optim.AdamW(parameters, lr=1e-3, betas=(0.9, 0.98), weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=steps)
    generator = torch.Generator().manual_seed(0)
    encoder.train()
    for step in range(steps):
        rows = torch.randint(len(tokens), (256,), generator=generator)
        text = nn.functional.normalize(project(parts.pool(tokens[rows])), dim=-1)
        logits = text @ features[rows].T * scale.exp()
        target = torch.arange(len(rows))
        loss = nn.functional.cross_entropy(logits, target)
        loss = (loss + nn.functional.cross_entropy(logits.T, target)) / 2
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if step % 100 == 0:
            hits = (logits.argmax(-1) == target).float().mean()
            print(f"text step {step}/{steps} loss {loss.item():.3f} top-1 {hits:.3f}", flush=True)
    encoder.eval()
