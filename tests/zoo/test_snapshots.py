"""An unfinished training continues from its snapshot, which is small."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from strategies import StrategyError
from tests.support import portraits_package
from tests.zoo.small_training import MODEL, run
from zoo import export, networks, train
from zoo.portraits import coarse
from zoo.recipes import RECIPES, STAGES
from zoo.training import diffusion, files, snapshots


def test_a_training_continues_from_a_snapshot(
    quick: None, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    source = portraits_package.write(tmp_path)
    work, snapshot, again = (tmp_path / name for name in ("work", "snapshot", "again"))
    monkeypatch.setattr(snapshots, "snapshot_folder", lambda model: snapshot)
    flags = ["--ranks", "1", "--package", str(source)]
    with pytest.raises(StrategyError, match="no checkpoint"):
        snapshots.write_snapshot(work, ["."], snapshot)
    train.main([MODEL, "--work", str(work), *flags])
    (work / files.LAST).unlink()
    export.main([MODEL, "--work", str(work), "--snapshot"])
    assert sum(file.stat().st_size for file in snapshot.rglob("*")) < 0.3 * sum(
        file.stat().st_size for file in work.rglob("*")
    )
    capsys.readouterr()
    train.main([MODEL, "--work", str(again), *flags])
    printed = capsys.readouterr().out
    assert f"continuing from {snapshot}" in printed
    assert "classifier" not in printed
    # Only the last stage was left; it began with the averaged weights of the one before.
    assert printed.count("judged") == 1
    kept, left = coarse.grow(coarse.build()), coarse.grow(coarse.build())
    assert diffusion.take_average(kept, work / "fewer-keys") == 16
    assert diffusion.take_average(left, again / "fewer-keys") == 16
    for (name, one), (_, other) in zip(diffusion.named(kept), diffusion.named(left), strict=True):
        assert torch.allclose(one, other, atol=1e-3), name
    # A folder that has results of its own is left as it is.
    assert not snapshots.restore_snapshot(snapshot, again)


def test_a_stage_resumes_from_a_snapshot_with_a_warm_up(
    quick: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(tmp_path / "work", 4)
    (tmp_path / "work" / "curve.csv").touch()
    for name in ("features.safetensors", "judge.safetensors", "vae", "text"):
        (tmp_path / "work" / name).touch()
    snapshots.write_snapshot(tmp_path / "work", ["."], tmp_path / "again")
    begun: list[float] = []
    rate = diffusion.Plan.rate

    def noted(plan: diffusion.Plan, images: int) -> float:
        begun.append(rate(plan, images))
        return begun[-1]

    monkeypatch.setattr(diffusion.Plan, "rate", noted)
    _, seen = run(tmp_path / "again", 8)
    assert [trainee.seen for trainee in seen] == [8]
    assert len(begun) == 2
    assert begun[0] == pytest.approx(1.2e-3 / 3000)


def test_the_snapshots_of_the_repository_fit_their_recipes() -> None:
    for source in snapshots.snapshot_folder(MODEL).parent.glob("*"):
        stages = STAGES[source.name]
        (stage,) = [one for one in stages if files.newest(source / one.folder)][-1:]
        parts = train.load_parts(source.name, source, stages.index(stage))
        assert stage.plan.start < diffusion.take_average(parts, source / stage.folder)
        subject = RECIPES[source.name].subject
        networks.load_network(subject.judge, source / "judge.safetensors")
        networks.load_network(subject.features, source / "features.safetensors")
        assert (source / "curve.csv").is_file()
