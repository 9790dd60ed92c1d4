"""Stage: the feature network and the judge, trained on freshly drawn labelled images."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from zoo import data, networks

Augment = Callable[[Tensor], Tensor]


def train(network: nn.Module, steps: int, seed: int, size: int, augment: Augment) -> nn.Module:
    """Train `network` with cross-entropy on every label that exists.

    Args:
        network: maps RGB in [0, 1], `[n, 3, h, w]`, to logits per label.
        steps: batches of 128.
        seed: of the images drawn.
        size: side of the images in pixels.
        augment: applied to each batch of images.
    """
    optimizer = torch.optim.AdamW(network.parameters(), lr=2e-3, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=steps)
    network.train()
    for step in range(steps):
        scenes = data.sample(128, seed * 1_000_003 + step, size)
        images = augment(torch.from_numpy(scenes.images).permute(0, 3, 1, 2))
        labels = torch.from_numpy(scenes.labels)
        logits = network(images)
        loss = torch.stack(
            [
                nn.functional.cross_entropy(logits[name], labels[:, i], ignore_index=-1)
                for i, name in enumerate(data.LABELS)
            ]
        ).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if step % 200 == 0:
            print(f"classifier step {step}/{steps} loss {loss.item():.4f}", flush=True)
    return network.eval()


def score(network: nn.Module, seed: int, size: int, augment: Augment) -> dict[str, float]:
    """Accuracy on 2,048 images of another seed, augmented the same way as asked."""
    scenes = data.sample(2048, seed, size)
    images = augment(torch.from_numpy(scenes.images).permute(0, 3, 1, 2))
    with torch.inference_mode():
        parts = [network(chunk) for chunk in images.split(256)]
    logits = {name: torch.cat([part[name] for part in parts]) for name in data.LABELS}
    return networks.accuracy(logits, torch.from_numpy(scenes.labels))
