"""Metrics by name, and networks whose weights are missing, damaged or downloaded."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from evaluate.metrics import METRICS, default_metrics, select_metrics
from evaluate.networks import SOURCES, Networks, weight_files
from evaluate.statistics.gaussian import GaussianStatistics
from strategies import StrategyError
from tests.support.metric_inputs import NETWORKED
from tests.support.weight_writers import provide


@pytest.mark.parametrize("name", NETWORKED)
def test_missing_weights_are_one_clear_error(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(weight_files.VARIABLE, str(tmp_path))
    first = SOURCES[name].weights[0]
    with pytest.raises(weight_files.MissingWeightsError) as caught:
        Networks().load(name)
    said = str(caught.value)
    assert "\n" not in said
    for part in (Path(first.name).name, first.sha256, first.url, str(tmp_path), "--download"):
        assert part in said
    assert not list(tmp_path.iterdir())


def test_damaged_weights_are_never_loaded(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(weight_files.VARIABLE, str(tmp_path))
    path = tmp_path / "weights" / weight_files.INCEPTION.name
    path.parent.mkdir(parents=True)
    path.write_bytes(b"half a file")
    with pytest.raises(StrategyError, match="damaged or another file"):
        Networks().load("inception")
    provide("inception", cache, monkeypatch)
    Networks().load("inception")
    checked = cache / "weights" / weight_files.INCEPTION.name
    with checked.open("ab") as file:
        file.write(b"0")
    with pytest.raises(StrategyError, match="damaged or another file"):
        Networks().load("inception")
    checked.unlink()


def test_a_download_is_atomic_and_only_when_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From a local address: the bytes arrive under the right name or not at all."""
    import hashlib

    monkeypatch.setenv(weight_files.VARIABLE, str(tmp_path / "cache"))
    published = tmp_path / "published"
    published.write_bytes(b"weights")
    digest = hashlib.sha256(b"weights").hexdigest()
    good = weight_files.PublishedFile("x/file.bin", published.as_uri(), digest)
    assert weight_files.find_weight_file(good, download=True).read_bytes() == b"weights"
    bad = weight_files.PublishedFile("y/file.bin", published.as_uri(), "0" * 64)
    with pytest.raises(StrategyError, match="cannot be fetched"):
        weight_files.find_weight_file(bad, download=True)
    assert not (tmp_path / "cache" / "weights" / "y" / "file.bin").exists()


def test_metrics_are_chosen_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(weight_files.VARIABLE, str(tmp_path))
    assert [m.name for m in select_metrics(["psnr", "psnr", "ssim"], None)] == [
        "psnr",
        "ssim",
    ]
    with pytest.raises(StrategyError, match="'beauty' is unknown; there are accuracy, fid"):
        select_metrics(["beauty"], None)
    with pytest.raises(StrategyError, match="only knows the images of tiny-sd, tiny-pixart"):
        select_metrics(["fd"], None)
    with pytest.raises(StrategyError, match="right-shape only knows the images of tiny-sd, tin"):
        select_metrics(["right-shape"], "portraits")
    names = [metric.name for metric in select_metrics(["accuracy", "fd"], "portraits")]
    assert names == ["right-attributes", "fd"]
    found, without = default_metrics(None)
    assert [m.name for m in found] == ["psnr", "ssim"]
    assert "inception-2015-12-05.pt" in without["fid"]
    assert default_metrics("shapes")[1] == {}
    for metric in METRICS.values():
        assert metric.key("real") or metric.key("alone")
    assert GaussianStatistics.of(np.eye(3)).count == 3
