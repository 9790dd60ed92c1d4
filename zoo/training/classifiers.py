"""Stage of the feature network and the judge, trained on freshly drawn labelled images."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor, nn

from zoo import networks
from zoo.data import Scenes
from zoo.subjects import Sample, Subject

REAL_SEED = 99
Augment = Callable[[Tensor], Tensor]
Network = TypeVar("Network", bound=nn.Module)


def train(
    network: Network, steps: int, seed: int, subject: Subject, sample: Sample, augment: Augment
) -> Network:
    """Train `network` with cross-entropy on every label that exists.

    Args:
        network: network from RGB in [0, 1], `[n, 3, h, w]`, to logits per label.
        steps: number of batches of 128.
        seed: random seed of the images.
        subject: subject that names the labels.
        sample: function that draws the images.
        augment: function applied to each batch of images.
    """
    optimizer = torch.optim.AdamW(network.parameters(), lr=2e-3, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=steps)
    network.train()
    for step in range(steps):
        scenes = sample(128, seed * 1_000_003 + step)
        labels = torch.from_numpy(scenes.labels)
        logits = network(augment(pictures(scenes)))
        loss = torch.stack(
            [
                nn.functional.cross_entropy(logits[name], labels[:, i], ignore_index=-1)
                for i, name in enumerate(subject.labels)
            ]
        ).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if step % 100 == 0:
            print(f"classifier step {step}/{steps} loss {loss.item():.4f}", flush=True)
    return network.eval()


@torch.inference_mode()
def score(
    network: nn.Module, count: int, subject: Subject, sample: Sample, augment: Augment
) -> dict[str, float]:
    """Accuracy on `count` images that no training saw, augmented in the same way."""
    scenes = sample(count, REAL_SEED)
    parts = [network(augment(chunk)) for chunk in pictures(scenes).split(256)]
    logits = {name: torch.cat([part[name] for part in parts]) for name in subject.labels}
    return networks.accuracy(logits, torch.from_numpy(scenes.labels), subject.groups)


def pictures(scenes: Scenes) -> Tensor:
    """The images of scenes as RGB in [0, 1], `[n, 3, h, w]`."""
    return torch.from_numpy(scenes.images).permute(0, 3, 1, 2)
