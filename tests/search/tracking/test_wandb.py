"""Weights & Biases against a stand-in for its package: what a search writes there, and how."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from search import tracking
from search.tracking.events import Event, EventBus


class StandIn(ModuleType):
    """The names of `wandb` that are used; every call is kept."""

    def __init__(self) -> None:
        super().__init__("wandb")
        self.started: list[dict[str, Any]] = []
        self.axes: dict[str, str] = {}
        self.rows: list[dict[str, Any]] = []
        self.files: list[str] = []
        self.ended: list[int] = []
        self.config: dict[str, Any] = {}
        self.summary: dict[str, Any] = {}

    def init(self, **given: Any) -> Any:
        self.started.append(given)
        return SimpleNamespace(
            id=given["id"],
            config=SimpleNamespace(update=lambda new, **_: self.config.update(new)),
            summary=self.summary,
            define_metric=lambda names, step_metric: self.axes.update({names: step_metric}),
            log=self.rows.append,
            log_artifact=lambda artifact: self.files.extend(artifact.there),
            finish=lambda exit_code: self.ended.append(exit_code),
        )

    def Image(self, path: str) -> str:  # noqa: N802
        assert Path(path).is_file()
        return f"image {Path(path).name}"

    def Artifact(self, name: str, type: str) -> Any:  # noqa: N802
        there: list[str] = []

        def add(path: str) -> None:
            assert Path(path).exists()
            there.append(Path(path).name)

        assert type == "strategies"
        return SimpleNamespace(there=there, add_dir=add, add_file=add)


@pytest.fixture
def wandb(monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    found = StandIn()
    monkeypatch.setitem(sys.modules, "wandb", found)
    monkeypatch.delenv("WANDB_MODE", raising=False)
    yield found
    sys.modules.pop("search.tracking.wandb_tracker", None)


def folder_of(place: Path) -> Path:
    (place / "strategies").mkdir(parents=True)
    for name in ("front.csv", "pareto.png", "summary.json", "strategies/knee.json"):
        (place / name).write_text("x")
    return place


EVALUATION = {
    "evaluations": 3, "scores": {"fd_base": 1.5, "latency_s": 0.2}, "error": "",
    "hypervolume": 0.4, "front": 2, "spent_s": 9.0, "seconds": 1.0,
}  # fmt: skip


def test_what_a_search_writes(wandb: StandIn, tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "run")
    (kind,) = tracking.load_trackers(["wandb"])
    listener = kind(folder)
    settings = {"seed": 3, "model": {"name": "tiny-sd"}}
    listener(Event("started", {"evaluations": 2, "config": settings, "resumed": False}))
    listener(Event("evaluation", EVALUATION))
    listener(Event("final", {"scores": {"fd_base": 2.0}}))
    listener(Event("exported", {"folder": str(folder), "summary": {"front": 4, "times": {}}}))
    listener(Event("stopped", {"reason": "finished"}))
    listener.close()
    (started,) = wandb.started
    assert started["mode"] == "offline"
    assert started["resume"] == "allow"
    assert started["dir"] == str(folder)
    assert wandb.config == {"seed": "3", "model.name": "tiny-sd"}
    assert wandb.axes == {"scores/*": "evaluations", "search/*": "evaluations",
                          "heldout/*": "finalists"}  # fmt: skip
    one, final, picture = wandb.rows
    assert one["scores/latency_s"] == 0.2
    assert one["search/hypervolume"] == 0.4
    assert one["evaluations"] == 3
    assert final == {"heldout/fd_base": 2.0, "finalists": 1}
    assert picture == {"front": "image pareto.png", "evaluations": 3}
    assert wandb.summary == {"summary/front": 4.0}
    assert wandb.files == ["strategies", "front.csv", "summary.json"]
    assert wandb.ended == [0]


def test_a_resumed_search_continues_its_run(
    wandb: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (kind,) = tracking.load_trackers(["wandb"])
    for place in (tmp_path / "a", tmp_path / "b", tmp_path / "a"):
        kind(place).close()
    names = [one["id"] for one in wandb.started]
    assert names[0] == names[2] != names[1]
    monkeypatch.setenv("WANDB_MODE", "online")
    stopped = kind(tmp_path / "a")
    stopped(Event("stopped", {"reason": "interrupted"}))
    stopped.close()
    assert wandb.started[-1]["mode"] == "online"
    assert wandb.ended[-1] == 1


def test_a_failing_server_never_stops_a_search(
    wandb: StandIn, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (kind,) = tracking.load_trackers(["wandb"])
    listener = kind(tmp_path)

    def fail(_: Any) -> None:
        raise ConnectionError("no route")

    listener._run.log = fail  # type: ignore[attr-defined]
    events = EventBus([listener])
    events.emit("evaluation", **EVALUATION)
    events.emit("evaluation", **EVALUATION)
    assert capsys.readouterr().err.splitlines() == [
        "warning: WandB failed and is left out from here on: ConnectionError: no route"
    ]
