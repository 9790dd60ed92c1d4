"""What a search tells: log lines, TensorBoard and MLflow, on fake workers."""

from __future__ import annotations

import json
import re
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from search.results import run as runs
from search.results.plots import style
from search.tracking.events import Event, EventBus
from search.tracking.json_log import JsonLog
from strategies import StrategyError
from tests.search.commands.test_commands import fails
from tests.support.paths import ROOT
from tests.support.runs import fake_runs as made
from tests.support.runs.engines import make_engine
from tests.support.runs.fake_executor import FakeExecutor
from tests.support.runs.light import SHARP

DOCS = (ROOT / "docs" / "events.md").read_text()
RUNGS = ["--rungs", "8,16", "--budget", "45evals"]


def documented() -> dict[str, set[str]]:
    """Event kinds and their fields, from the documentation."""
    parts = re.split(r"^## (\w+)$", DOCS, flags=re.MULTILINE)
    rows = [re.findall(r"^\| (`.*?) \| ", part, re.MULTILINE) for part in parts]
    names = [set(re.findall(r"`(\w+)`", " ".join(row))) for row in rows]
    return {kind: names[0] | names[i] for i, kind in enumerate(parts) if i % 2 for i in [i + 1]}


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run told to a file and to TensorBoard."""
    return run_twice(tmp_path_factory.mktemp("told") / "run", "tensorboard")


def run_twice(folder: Path, tracker: str) -> Path:
    """A run with rungs that is interrupted once and finished then."""
    log = str(folder.parent / "log.jsonl")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(style.SETTINGS, "savefig.dpi", SHARP)
        executor = FakeExecutor()
        executor.stop_after = 12
        flags = [*RUNGS, "--out", str(folder), "--track", tracker, "--log-json", log]
        assert made.search(patch, executor, *flags) == 130
        again = ["--resume", str(folder), "--log-json", log]
        assert made.search(patch, FakeExecutor(), *again) == 0
    return folder


def test_log_lines_are_as_documented(told: Path) -> None:
    rows = lines(told.parent / "log.jsonl")
    fields = documented()
    assert {row["event"] for row in rows} == set(fields) - {"error"}
    for row in rows:
        assert set(row) == fields[row["event"]], row["event"]
    counts = Counter(row["event"] for row in rows)
    study = runs.load_run(told).study
    assert counts["evaluation"] == len(study.evaluations) == 45
    assert counts["started"] == counts["stopped"] == 2
    assert [row["reason"] for row in rows if row["event"] == "stopped"] == [
        "interrupted",
        "finished",
    ]
    assert [row["resumed"] for row in rows if row["event"] == "started"] == [False, True]
    for row, one in zip(
        (row for row in rows if row["event"] == "evaluation"), study.evaluations, strict=True
    ):
        assert row["digest"] == one.strategy.digest
        assert row["scores"] == dict(one.scores)
        assert row["evaluations"] == study.evaluations.index(one) + 1
    higher = [one for one in study.evaluations if one.images == 16]
    promoted = {row["number"] for row in rows if row["event"] == "promoted"}
    assert {one.number for one in higher} <= promoted
    assert counts["final"] >= 1
    assert rows[-2]["event"] == "exported"
    assert "knee.json" in rows[-2]["files"]
    last = [row for row in rows if row["event"] == "evaluation"][-1]
    summary = json.loads((told / "summary.json").read_text())
    assert last["spent_s"] <= summary["device_seconds"]
    assert last["hypervolume"] > 0


def test_tensorboard(told: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(told / "tensorboard"), {"scalars": 0, "images": 0})
    found.Reload()
    rows = runs.load_run(told).study.evaluations
    latencies = found.Scalars("scores/latency_s")
    assert {one.step for one in latencies} == set(range(1, 46))
    last = max(latencies, key=lambda one: one.step)
    assert last.value == pytest.approx(rows[-1].scores["latency_s"], rel=1e-6)
    assert found.Scalars("search/hypervolume")
    assert found.Images("front")[0].width >= 1000
    assert found.Scalars("heldout/fd_base")


@pytest.mark.slow
def test_mlflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mlflow import MlflowClient

    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    told = run_twice(tmp_path / "run", "mlflow")
    client = MlflowClient(f"sqlite:///{told.absolute() / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("stratagem")
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.status == "FINISHED"
    assert run.data.params["proposer"] == "nsga2"
    assert run.data.params["model.name"] == "tiny-sd"
    history = client.get_metric_history(run.info.run_id, "scores/latency_s")
    assert [one.step for one in history] == list(range(1, 46))
    files = {item.path for item in client.list_artifacts(run.info.run_id)}
    assert {"strategies", "front.csv", "pareto.png", "summary.json"} <= files


def test_lines_on_standard_output_are_alone_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--budget", "5evals", "--out", str(tmp_path / "run"), "--log-json", "-"]
    assert made.search(monkeypatch, FakeExecutor(), *flags) == 0
    shown = capsys.readouterr()
    kinds = [json.loads(line)["event"] for line in shown.out.splitlines()]
    assert kinds[0] == "started"
    assert kinds[-1] == "stopped"
    assert "hypervolume" in shown.err


def test_an_error_is_the_last_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run, log = tmp_path / "run", tmp_path / "log"
    plain = make_engine(tmp_path / "other").unaccelerated.digest
    executor = FakeExecutor(fails={plain: "out of memory"})
    flags = ["--budget", "5evals", "--out", str(run), "--log-json", str(log)]
    assert made.search(monkeypatch, executor, *flags) == 2
    assert "out of memory" in capsys.readouterr().err
    assert [row["event"] for row in lines(log)] == ["started", "error"]
    assert "out of memory" in lines(log)[-1]["message"]
    assert set(lines(log)[-1]) == documented()["error"]


def test_a_torn_log_line_stays_one_line(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text('{"event": "eval')
    log = JsonLog(str(path))
    log(Event("stopped", {"reason": "finished"}))
    log.close()
    torn, whole = path.read_text().splitlines()
    assert torn == '{"event": "eval'
    assert json.loads(whole)["reason"] == "finished"
    with pytest.raises(StrategyError, match="cannot be written"):
        JsonLog(str(tmp_path))


def test_a_listener_that_fails_is_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    class Broken:
        seen = 0

        def __call__(self, event: Event) -> None:
            self.seen += 1
            raise ConnectionError("the server is gone")

        def close(self) -> None: ...

    class Kept(Broken):
        def __call__(self, event: Event) -> None:
            self.seen += 1
            assert event.data["value"] is None

    broken, kept = Broken(), Kept()
    events = EventBus([broken, kept])
    for _ in range(3):
        events.emit("final", value=float("nan"))
    assert (broken.seen, kept.seen) == (1, 3)
    shown = capsys.readouterr().err
    assert shown == (
        "warning: Broken failed and is left out from here on: ConnectionError: the server is gone\n"
    )


@pytest.mark.parametrize("name", ["tensorboard", "mlflow", "wandb"])
def test_a_missing_extra_is_one_line(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delitem(sys.modules, f"search.tracking.{name}_tracker", raising=False)
    needs = {"tensorboard": "torch.utils.tensorboard", "mlflow": "mlflow", "wandb": "wandb"}[name]
    monkeypatch.setitem(sys.modules, needs, None)
    shown = fails(capsys, "--track", name, "--out", str(tmp_path / "run"))
    assert f"pip install 'diffusion-stratagem[{name}]'" in shown
    assert not (tmp_path / "run").exists()
