"""One command trains all stages of a model, and another continues from a snapshot of its work."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest
import torch

from strategies import StrategyError
from tests.support import portraits_package
from tests.zoo.small_training import MODEL, RECIPE
from zoo import export, train
from zoo.portraits import coarse
from zoo.training import diffusion, files, snapshots


@pytest.mark.slow
def test_one_command_trains_all_stages_and_another_continues_from_their_snapshot(
    quick: None, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    source = portraits_package.write(tmp_path)
    work, snapshot, again = (tmp_path / name for name in ("work", "snapshot", "again"))
    with pytest.raises(StrategyError, match="no checkpoint"):
        snapshots.write_snapshot(work, ["."], snapshot)
    arguments = [MODEL, "--fresh", "--work", str(work), "--ranks", "1", "--package", str(source)]
    train.main(arguments)
    _check_stages(work)
    # A second call has nothing left to do, and needs no package any more.
    capsys.readouterr()
    train.main(arguments[:-2])
    assert "classifier" not in capsys.readouterr().out
    monkeypatch.setattr(snapshots, "snapshot_folder", lambda model: snapshot)
    (work / files.LAST).unlink()
    export.main([MODEL, "--work", str(work), "--snapshot"])
    assert _size(snapshot) < 0.3 * _size(work)
    capsys.readouterr()
    train.main([MODEL, "--work", str(again), "--ranks", "1", "--package", str(source)])
    printed = capsys.readouterr().out
    assert f"continuing from {snapshot}" in printed
    assert "classifier" not in printed
    # Only the last stage was left; it began with the averaged weights of the one before.
    assert printed.count("judged") == 1
    _check_averages(work / "fewer-keys", again / "fewer-keys")
    # A folder that has results of its own is left as it is.
    assert not snapshots.restore_snapshot(snapshot, again)


def _check_stages(work: Path) -> None:
    assert diffusion.take_average(train.load_parts(MODEL, work, 2), work) == 24
    with (work / "curve.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["images"]) for row in rows] == [8, 16, 24]
    assert set(rows[0]) == {"images", *RECIPE.subject.groups}
    # The fine stage began with the inner levels of the coarse one.
    parts: Any = train.load_parts(MODEL, work, 1)
    first = coarse.build()
    diffusion.take_average(first, work / "coarse")
    for one, other in zip(
        parts.unet.mid_block.parameters(), first.unet.mid_block.parameters(), strict=True
    ):
        assert torch.equal(one, other)


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*"))


def _check_averages(one: Path, other: Path) -> None:
    kept, left = coarse.grow(coarse.build()), coarse.grow(coarse.build())
    assert diffusion.take_average(kept, one) == 16
    assert diffusion.take_average(left, other) == 16
    for (name, mine), (_, theirs) in zip(diffusion.named(kept), diffusion.named(left), strict=True):
        assert torch.allclose(mine, theirs, atol=1e-3), name
