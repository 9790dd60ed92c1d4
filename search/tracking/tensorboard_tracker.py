"""TensorBoard: scores of every evaluation, the settings, and the picture of the front.

`tensorboard --logdir RUN/tensorboard` shows them; the step is the number of finished evaluations.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image
from torch.utils.tensorboard import SummaryWriter

from search.tracking.events import Event
from search.tracking.scalars import event_numbers


class TensorBoard:
    """Tracker that writes `RUN/tensorboard`.

    Args:
        folder: folder of the run.
    """

    def __init__(self, folder: Path) -> None:
        self._writer = SummaryWriter(str(folder / "tensorboard"))
        self._step = self._finals = 0

    def __call__(self, event: Event) -> None:
        write = self._writer
        if event.kind in ("started", "evaluation"):
            self._step = event.data["evaluations"]
        step = self._step
        if event.kind == "final":
            step = self._finals = self._finals + 1
        for name, value in event_numbers(event).items():
            write.add_scalar(name, value, step)
        if event.kind == "started":
            text = json.dumps(event.data["config"], indent=2)
            indented = "\n".join(f"    {line}" for line in text.splitlines())
            write.add_text("config", indented, step)
        if event.kind == "exported":
            with Image.open(Path(event.data["folder"]) / "pareto.png") as picture:
                pixels = np.asarray(picture.convert("RGB"))
            write.add_image("front", pixels, step, dataformats="HWC")
        write.flush()

    def close(self) -> None:
        """Close the file."""
        self._writer.close()
