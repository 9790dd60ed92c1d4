"""MLflow: one run with the settings, the scores of every evaluation, and the exported files.

It is in `RUN/mlflow.db` and `RUN/mlflow/`, unless MLFLOW_TRACKING_URI names a tracking server. The
step is the number of finished evaluations. A resumed search continues its MLflow run.
"""

from __future__ import annotations

import logging
import os
import time
from pathlib import Path

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # It asks the network when imported.

from mlflow import MlflowClient
from mlflow.entities import Metric, Param

from search.tracking.events import Event
from search.tracking.scalars import config_entries, event_numbers

EXPERIMENT = "stratagem"
FOLDER = "stratagem.folder"  # The tag by which a run is found again.
LONGEST = 6000  # MLflow's limit on a parameter's text.


class MLflow:
    """Tracker that writes an MLflow run.

    Args:
        folder: folder of the search's run.
    """

    def __init__(self, folder: Path) -> None:
        logging.getLogger("mlflow").setLevel(logging.WARNING)
        logging.getLogger("alembic").setLevel(logging.WARNING)
        folder = folder.absolute()
        uri = os.environ.get("MLFLOW_TRACKING_URI")
        self._client = MlflowClient(uri or f"sqlite:///{folder / 'mlflow.db'}")
        experiment = self._experiment(None if uri else (folder / "mlflow").as_uri())
        self._run = self._find(experiment, folder)
        self._step = self._finals = 0
        self._status = "FINISHED"

    def _experiment(self, artifacts: str | None) -> str:
        known = self._client.get_experiment_by_name(EXPERIMENT)
        if known is not None:
            return str(known.experiment_id)
        return str(self._client.create_experiment(EXPERIMENT, artifacts))

    def _find(self, experiment: str, folder: Path) -> str:
        where = f"tags.`{FOLDER}` = '{folder}'"
        for run in self._client.search_runs([experiment], where, max_results=1):
            self._client.update_run(run.info.run_id, status="RUNNING")
            return str(run.info.run_id)
        made = self._client.create_run(experiment, tags={FOLDER: str(folder)}, run_name=folder.name)
        return str(made.info.run_id)

    def __call__(self, event: Event) -> None:
        if event.kind in ("started", "evaluation"):
            self._step = event.data["evaluations"]
        step = self._step
        if event.kind == "final":
            step = self._finals = self._finals + 1
        now = int(time.time() * 1000)
        metrics = [Metric(name, value, now, step) for name, value in event_numbers(event).items()]
        if metrics:
            self._client.log_batch(self._run, metrics)
        if event.kind == "started" and not event.data["resumed"]:
            given = config_entries(event.data["config"])
            parameters = [Param(name, value[:LONGEST]) for name, value in given.items()]
            self._client.log_batch(self._run, params=parameters)
        elif event.kind == "exported":
            folder = Path(event.data["folder"])
            self._client.log_artifacts(self._run, str(folder / "strategies"), "strategies")
            for name in ("front.csv", "pareto.png", "summary.json"):
                self._client.log_artifact(self._run, str(folder / name))
        elif event.kind == "error":
            self._status = "FAILED"
        elif event.kind == "stopped" and event.data["reason"] != "finished":
            self._status = "KILLED"

    def close(self) -> None:
        """End the MLflow run."""
        self._client.set_terminated(self._run, self._status)
