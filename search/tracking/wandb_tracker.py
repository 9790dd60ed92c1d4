"""Weights & Biases: one run with the settings, the scores of every evaluation, and the files.

It is written to `RUN/wandb` without a network; `wandb sync` sends it later. With the environment
variable WANDB_MODE=online it is sent at once. The x-axis is the number of finished evaluations, and
of held-out scores the number of the finalist. A resumed search continues its run.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import wandb

from search.tracking.events import Event
from search.tracking.scalars import config_entries, event_numbers

PROJECT = "stratagem"
EVALUATIONS, FINALISTS = "evaluations", "finalists"  # The two x-axes.


class WandB:
    """Tracker that writes a run of Weights & Biases.

    Args:
        folder: folder of the search's run.
    """

    def __init__(self, folder: Path) -> None:
        folder = folder.absolute()
        name = hashlib.sha256(str(folder).encode("utf-8", "surrogatepass")).hexdigest()[:16]
        self._run = wandb.init(
            project=PROJECT,
            id=name,
            name=folder.name,
            dir=str(folder),
            resume="allow",
            mode=os.environ.get("WANDB_MODE", "offline"),
        )
        for names, axis in (("scores/*", EVALUATIONS), ("search/*", EVALUATIONS),
                            ("heldout/*", FINALISTS)):  # fmt: skip
            self._run.define_metric(names, step_metric=axis)
        self._step = self._finals = self._code = 0

    def __call__(self, event: Event) -> None:
        if event.kind in ("started", "evaluation"):
            self._step = event.data["evaluations"]
        found: dict[str, object] = dict(event_numbers(event))
        if event.kind == "started":
            given = config_entries(event.data["config"])
            self._run.config.update(given, allow_val_change=True)
        elif event.kind == "final":
            self._finals += 1
        elif event.kind == "exported":
            self._exported(Path(event.data["folder"]), found)
            return
        elif event.kind == "error" or (
            event.kind == "stopped" and event.data["reason"] != "finished"
        ):
            self._code = 1
        if found:
            axis = {FINALISTS: self._finals} if event.kind == "final" else {EVALUATIONS: self._step}
            self._run.log(found | axis)

    def _exported(self, folder: Path, summary: dict[str, object]) -> None:
        self._run.summary.update(summary)
        self._run.log({"front": wandb.Image(str(folder / "pareto.png")), EVALUATIONS: self._step})
        files = wandb.Artifact(f"strategies-{self._run.id}", type="strategies")
        files.add_dir(str(folder / "strategies"))
        for name in ("front.csv", "summary.json"):
            files.add_file(str(folder / name))
        self._run.log_artifact(files)

    def close(self) -> None:
        """End the run."""
        self._run.finish(exit_code=self._code)
