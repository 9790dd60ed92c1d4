"""Bundled networks of several subjects: each image is judged by those of its model's subject."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import zoo
from accel.models.config import read_model
from evaluate.images.references import of_network, reference_fingerprint
from evaluate.networks import Networks
from strategies import StrategyError
from tests.support import portraits_package
from zoo.data import Scenes
from zoo.subjects import PORTRAITS, SHAPES, Subject, subject_of_networks

SUBJECTS = {"shapes": SHAPES, "portraits": PORTRAITS}


@pytest.fixture
def networks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Untrained networks of both subjects in a folder of their own."""

    def folder(subject: str = "shapes") -> Path:
        return tmp_path / ("" if subject == "shapes" else subject)

    monkeypatch.setattr(zoo, "networks_folder", folder)
    for name, subject in SUBJECTS.items():
        torch.manual_seed(0)
        folder(name).mkdir(exist_ok=True)
        save_file(subject.features().state_dict(), folder(name) / "features.safetensors")
        save_file(subject.judge().state_dict(), folder(name) / "judge.safetensors")
        features = torch.full((2, 64), float(len(name)))
        save_file({"features": features}, folder(name) / "reference.safetensors")
    return tmp_path


@pytest.mark.parametrize("name", SUBJECTS)
def test_networks_are_those_of_the_subject(name: str, networks: Path, tmp_path: Path) -> None:
    subject = SUBJECTS[name]
    assert subject.name == name
    assert subject_of_networks(zoo.networks_folder(name)) is subject
    scenes = drawn(subject, tmp_path)
    images = [(one * 255).round().astype(np.uint8) for one in scenes.images]
    found = Networks(subject=name)
    assert found.extract("bundled", images).shape == (4, 64)
    right = found.extract("judge", images, scenes.captions)
    assert right.shape == (4, len(subject.scores))
    assert ((right >= 0) & (right <= 1)).all()  # Every caption says something of every score.
    assert zoo.reference_features(name).unique().tolist() == [len(name)]


def drawn(subject: Subject, folder: Path) -> Scenes:
    source = portraits_package.write(folder) if subject is PORTRAITS else None
    return subject.open(folder, source)(4, 3)


def test_features_of_one_subject_are_not_those_of_another(networks: Path) -> None:
    assert of_network("bundled", "shapes") == of_network("bundled")
    assert of_network("bundled", "portraits") != of_network("bundled", "shapes")
    assert of_network("inception", "portraits") == of_network("inception", "shapes")
    assert reference_fingerprint(None, subject="portraits") != reference_fingerprint(None)


def test_scores_hold_every_label_once() -> None:
    for subject in SUBJECTS.values():
        held = [label for labels in subject.scores.values() for label in labels]
        assert sorted(held) == sorted(subject.labels)


def test_a_model_has_the_subject_of_its_name() -> None:
    assert read_model("tiny-pixart").subject == "shapes"
    assert read_model("sd15").subject is None
    with pytest.raises(StrategyError, match="is unknown"):
        zoo.folder("tiny-houses")
