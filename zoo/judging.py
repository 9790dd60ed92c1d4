"""Does a generated image show what its caption says? Answered by the judge network.

Used by the model cards and, on the bundled models, as the caption accuracy of a strategy.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from zoo.subjects import SHAPES, Subject


@torch.inference_mode()
def right(
    judge: nn.Module, images: Tensor, captions: Sequence[str], subject: Subject = SHAPES
) -> dict[str, Tensor]:
    """Per image and kind of label, the share of right answers.

    Args:
        judge: the trained judge of this subject.
        images: RGB in [0, 1], `[n, 3, h, w]`.
        captions: `n` captions of the subject's data.
        subject: what the images show.

    Returns:
        For each group of labels, float `[n]`; NaN where a caption says nothing about a group. Of
        shapes: `shape`, `colour`, `size`, `position` and `background`.
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
        for group, names in subject.groups.items()
    }
