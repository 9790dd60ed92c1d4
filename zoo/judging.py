"""Does a generated image show what its caption says? Answered by the judge network.

Used by the model cards and, on the bundled models, as the caption accuracy of a strategy.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from zoo import data, networks


@torch.inference_mode()
def right(judge: networks.JudgeNet, images: Tensor, captions: Sequence[str]) -> dict[str, Tensor]:
    """Per image and kind of label, the share of right answers.

    Args:
        judge: the trained judge.
        images: RGB in [0, 1], `[n, 3, h, w]`.
        captions: `n` captions of the bundled data.

    Returns:
        `shape`, `colour`, `size`, `position` and `background`, each float `[n]`.
    """
    labels = torch.from_numpy(np.stack([data.parse(text) for text in captions]))
    parts = [judge(chunk) for chunk in images.float().split(256)]
    hits, exists = {}, {}
    for column, name in enumerate(data.LABELS):
        guess = torch.cat([part[name] for part in parts]).argmax(-1)
        exists[name] = (labels[:, column] >= 0).float()
        hits[name] = (guess == labels[:, column]).float()
    return {
        group: sum((hits[n] * exists[n] for n in names), torch.zeros(len(images)))
        / sum((exists[n] for n in names), torch.zeros(len(images)))
        for group, names in networks.GROUPS.items()
    }
