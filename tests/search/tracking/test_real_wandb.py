"""Weights & Biases with its own package, without a network: what a search leaves in its folder."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from search.results import run as runs
from tests.search.tracking.test_events import run_twice

BLOCK, HEAD = 32768, 7  # Bytes of LevelDB's log format, which a .wandb file has.
FIRST_PARTS, LAST_PARTS = (1, 2), (1, 4)


def pieces(data: bytes) -> Iterator[bytes]:
    """Records of a .wandb file: each has a checksum, a length and a kind of part before it."""
    assert data.startswith(b":W&B")
    place, found = HEAD, b""
    while place + HEAD <= len(data):
        if BLOCK - place % BLOCK < HEAD:
            place += BLOCK - place % BLOCK
            continue
        length, kind = struct.unpack("<HB", data[place + 4 : place + HEAD])
        part = data[place + HEAD : place + HEAD + length]
        found = part if kind in FIRST_PARTS else found + part
        place += HEAD + length
        if kind in LAST_PARTS:
            yield found


def records(folder: Path) -> Iterator[Any]:
    """Records of the offline runs in a folder, in the order of their starts."""
    kinds = pytest.importorskip("wandb.proto.wandb_internal_pb2")
    for path in sorted(folder.glob("offline-run-*/*.wandb")):
        for data in pieces(path.read_bytes()):
            record = kinds.Record()
            record.ParseFromString(data)
            yield record


def values(items: Any) -> dict[str, Any]:
    """Names and values of a record's items."""
    return {one.key or ".".join(one.nested_key): json.loads(one.value_json) for one in items}


@pytest.mark.slow
def test_a_search_and_its_continuation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("wandb")
    for name in ("WANDB_MODE", "WANDB_DIR", "WANDB_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    told = run_twice(tmp_path / "run", "wandb")
    written = list(records(told / "wandb"))
    began = [one.run for one in written if one.WhichOneof("record_type") == "run"]
    assert len({one.run_id for one in began}) == 1  # The resumed search continues the run.
    assert {(one.project, one.display_name) for one in began} == {("stratagem", "run")}
    rows = [
        values(one.history.item) for one in written if one.WhichOneof("record_type") == "history"
    ]
    scored = {row["evaluations"]: row for row in rows if "scores/latency_s" in row}
    study = runs.load_run(told).study.evaluations
    assert set(scored) == set(range(1, len(study) + 1))
    for number, one in enumerate(study, 1):
        assert scored[number]["scores/latency_s"] == pytest.approx(one.scores["latency_s"])
    assert any("heldout/fd_base" in row for row in rows)
    assert [row["front._type"] for row in rows if "front._type" in row] == ["image-file"]
    (files,) = [
        {item.path for item in one.artifact.manifest.contents}
        for one in written
        if one.WhichOneof("record_type") == "artifact"
    ]
    assert {"knee.json", "front.csv", "summary.json"} <= files
    exits = [one.exit.exit_code for one in written if one.WhichOneof("record_type") == "exit"]
    assert exits == [1, 0]
    config = {
        item.key: item.value_json
        for one in written
        if one.WhichOneof("record_type") == "config"
        for item in one.config.update
    }
    assert json.loads(config["model.name"]) == "tiny-sd"
