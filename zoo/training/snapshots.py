"""Snapshot of an unfinished training: what the repository keeps of it until the model ships.

A snapshot has the networks that the denoiser's training needs, and the averaged weights of each
stage in float16. It has no optimizer moments and no training set, which is generated again. So it
takes a tenth of the work folder.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file

from strategies import StrategyError
from zoo import models_folder
from zoo.training import files

KEPT = ("features.safetensors", "judge.safetensors", "vae", "text", "curve.csv")


def snapshot_folder(model: str) -> Path:
    """Folder of the snapshot of `model`, which is there while its training is unfinished."""
    return models_folder().parent / "snapshots" / model


def write_snapshot(work: Path, stages: Sequence[str], target: Path) -> None:
    """Write the snapshot of a training.

    Args:
        work: folder of the training.
        stages: folders of its stages within `work`.
        target: folder of the snapshot, which is replaced.

    Raises:
        StrategyError: the training has no checkpoint yet.
    """
    found = {stage: files.newest(work / stage) for stage in stages if (work / stage).is_dir()}
    if not any(found.values()):
        raise StrategyError(f"{work} holds no checkpoint; `python -m zoo.train` makes one")
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    for name in KEPT:
        _copy(work / name, target / name)
    for stage, path in found.items():
        if path is None:
            continue
        (target / stage).mkdir(exist_ok=True)
        with safe_open(path, "pt") as file:
            names = [name for name in file.keys() if name.startswith("average/")]  # noqa: SIM118
            halves = {name: file.get_tensor(name).to(torch.float16) for name in names}
            save_file(halves, target / stage / files.LAST, metadata=dict(file.metadata()))


def restore_snapshot(source: Path, work: Path) -> bool:
    """Copy a snapshot into an empty work folder; whether there was one to copy.

    Args:
        source: folder of the snapshot.
        work: folder of the training, which is left as it is unless it is empty.
    """
    if not source.is_dir() or any(work.iterdir()):
        return False
    shutil.copytree(source, work, dirs_exist_ok=True)
    return True


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target)
    else:
        shutil.copyfile(source, target)
