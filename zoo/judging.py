"""Judgement of generated images: whether they show what their captions say.

The model cards use it, and it is the caption accuracy of a strategy on the bundled models.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from zoo.subjects import SHAPES, Subject


@torch.inference_mode()
def right(
    judge: nn.Module,
    images: Tensor,
    captions: Sequence[str],
    subject: Subject = SHAPES,
    groups: Mapping[str, Sequence[str]] | None = None,
) -> dict[str, Tensor]:
    """Share of right answers per image and kind of label.

    Args:
        judge: trained judge of this subject.
        images: RGB in [0, 1], `[n, 3, h, w]`.
        captions: `n` captions of the subject's data.
        subject: subject of the images.
        groups: labels that are judged together, by name; by default the subject's.

    Returns:
        For each group of labels, float `[n]`; NaN if a caption says nothing about a group. Groups
        of shapes are `shape`, `colour`, `size`, `position` and `background`.
    """
    labels = torch.from_numpy(np.stack([subject.parse(text) for text in captions]))
    parts = [judge(chunk) for chunk in images.float().split(256)]
    hits, exists = {}, {}
    for column, name in enumerate(subject.labels):
        guess = torch.cat([part[name] for part in parts]).argmax(-1)
        exists[name] = (labels[:, column] >= 0).float()
        hits[name] = (guess == labels[:, column]).float()
    return {
        group: sum((hits[n] * exists[n] for n in names), torch.zeros(len(images)))
        / sum((exists[n] for n in names), torch.zeros(len(images)))
        for group, names in (groups or subject.groups).items()
    }
