"""Snapshots of unfinished trainings: those of the repository, and a stage that resumes from one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.zoo.small_training import MODEL, run
from zoo import networks, train
from zoo.recipes import RECIPES, STAGES
from zoo.training import diffusion, files, snapshots


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


@pytest.mark.skipif(
    not snapshots.snapshot_folder(MODEL).parent.exists(), reason="no training is unfinished"
)
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
