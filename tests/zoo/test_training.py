"""Training of the bundled models: whole checkpoints, coarse to fine, one command from nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from strategies import StrategyError
from tests.zoo.small_training import MODEL, Small, run
from zoo import tiny_portraits, train
from zoo.portraits import coarse, package
from zoo.recipes import STAGES
from zoo.training import diffusion, files
from zoo.training.attention import FewerKeys


@pytest.mark.parametrize("kept", [0.0, 0.3, 0.9])
def test_a_half_written_checkpoint_is_passed_over(
    kept: float, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole, _ = run(tmp_path / "whole", 12)
    run(tmp_path / "cut", 12)
    last = tmp_path / "cut" / files.LAST
    last.write_bytes(last.read_bytes()[: int(kept * last.stat().st_size)])
    (tmp_path / "cut" / f"{files.LAST}.part").write_bytes(b"half")
    capsys.readouterr()
    assert diffusion.take_average(Small(), tmp_path / "cut") == 8  # type: ignore[arg-type]
    assert "not whole" in capsys.readouterr().out
    again, seen = run(tmp_path / "cut", 12)
    assert [trainee.seen for trainee in seen] == [12]
    assert torch.equal(again.weight, whole.weight)
    # The cut file did not take the place of the whole one before it.
    assert diffusion.take_average(Small(), tmp_path / "cut") == 12  # type: ignore[arg-type]
    assert files.newest(tmp_path / "cut") == last


def test_without_a_whole_checkpoint_training_begins_anew(tmp_path: Path) -> None:
    with pytest.raises(StrategyError, match="no checkpoint"):
        diffusion.take_average(Small(), tmp_path)  # type: ignore[arg-type]
    for name in (files.LAST, files.BEFORE):
        (tmp_path / name).write_bytes(b"half")
    _, seen = run(tmp_path, 4)
    assert seen[-1].seen == 4


def test_slow_machines_save_in_between(tmp_path: Path) -> None:
    run(tmp_path / "slow", 8, save_every=8, save_minutes=0.0)
    run(tmp_path / "fast", 8, save_every=8)
    assert (tmp_path / "slow" / files.BEFORE).exists()
    assert not (tmp_path / "fast" / files.BEFORE).exists()


@pytest.mark.parametrize(("processor", "allowed"), [(True, True), (True, False), (False, True)])
def test_bfloat16_only_where_the_processor_has_it(
    processor: bool, allowed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: processor)
    parts, _ = run(tmp_path, 4, cast_on_cpu=allowed)
    wanted = torch.bfloat16 if processor and allowed else torch.float32
    assert set(parts.dtypes) == {wanted}


def test_every_model_asks_the_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: False)
    assert not any(diffusion.casts(s.plan, "cpu") for stages in STAGES.values() for s in stages)


def test_pooled_noise_stays_unit_noise(tmp_path: Path) -> None:
    noise = torch.randn(64, 4, 32, 32, generator=torch.Generator().manual_seed(0))
    small = diffusion.pooled(noise, 2)
    assert small.shape == (64, 4, 16, 16)
    assert abs(float(small.std()) - 1) <= 0.01
    assert torch.equal(diffusion.pooled(noise, 1), noise)
    parts, _ = run(tmp_path, 4, pool=2)
    assert set(parts.shapes) == {(2, 4, 4, 4)}


@pytest.fixture
def unet_parts() -> coarse.Parts:
    torch.manual_seed(0)
    return coarse.build()


@torch.no_grad()
def test_the_inner_levels_are_those_of_the_whole_unet(unet_parts: coarse.Parts) -> None:
    """What the whole UNet gives to and takes from them, they give and take alone."""
    unet, inner = coarse.grow(unet_parts).unet, unet_parts.inner
    noisy, times = torch.randn(2, 4, 32, 32), torch.tensor([10, 700])
    words = torch.randn(2, 5, tiny_portraits.WIDTH)
    caught: dict[str, Tensor] = {}
    unet.down_blocks[1].register_forward_pre_hook(
        lambda _, args, kwargs: caught.update(before=kwargs.get("hidden_states", *args[:1])),
        with_kwargs=True,
    )
    unet.up_blocks[-2].resnets[-1].register_forward_hook(
        lambda _, args, out: caught.update(after=out)
    )
    unet(noisy, times, words)
    before, wanted = caught["before"], caught["after"]
    inner.add_module("first", nn.Identity())
    inner.add_module("out", nn.Identity())
    assert torch.equal(inner(before, times, words), wanted)


def test_the_first_stage_changes_nothing_of_the_first_level(unet_parts: coarse.Parts) -> None:
    names = {name for name, _ in diffusion.named(unet_parts)}
    mine = {id(weight) for _, weight in diffusion.named(unet_parts)}
    unet = unet_parts.unet
    outside = [unet.conv_in, unet.down_blocks[0], unet.up_blocks[-1], unet.conv_out]
    assert not {id(w) for module in outside for w in module.parameters()} & mine
    inside = [*unet.down_blocks[1:], unet.mid_block, *unet.up_blocks[:-2], unet.time_embedding]
    assert {id(w) for module in inside for w in module.parameters()} <= mine
    assert len(names) == len(mine)


@torch.no_grad()
def test_fewer_keys_are_those_of_one_phase() -> None:
    """Attention over the grid sees every second key each way; other attention sees all."""
    attend = nn.functional.scaled_dot_product_attention
    query, keys, values = torch.randn(3, 2, 1, 16, 8)
    with FewerKeys(2, (4, 4), 3):
        found = attend(query, keys, values)
        other = attend(query, keys[..., :9, :], values[..., :9, :])
    rows = torch.tensor([5, 7, 13, 15])
    assert torch.allclose(found, attend(query, keys[..., rows, :], values[..., rows, :]), atol=1e-6)
    assert torch.equal(other, attend(query, keys[..., :9, :], values[..., :9, :]))
    with FewerKeys(1, (4, 4), 0):
        assert torch.equal(attend(query, keys, values), attend(query, keys, values))


def test_a_stage_that_was_cut_is_done_again(tmp_path: Path) -> None:
    """Results appear under their name when they are complete, files and folders alike."""

    def cut(part: Path) -> None:
        part.mkdir()
        (part / "half").write_text("half")
        raise OSError("no space left")

    with pytest.raises(OSError, match="no space"):
        files.make(tmp_path / "vae", cut)
    assert not (tmp_path / "vae").exists()

    def whole(part: Path) -> None:
        part.mkdir()
        (part / "config").write_text("whole")

    files.make(tmp_path / "vae", whole)
    assert [path.name for path in (tmp_path / "vae").iterdir()] == ["config"]


def test_without_the_package_one_line_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SystemExit) as ended:
        train.main([MODEL, "--work", str(tmp_path / "work"), "--ranks", "1"])
    text = str(ended.value)
    assert "\n" not in text
    for word in ("@dicebear/pixel-art@9.4.3", "CC0", "npm pack", "--package"):
        assert word in text
    with pytest.raises(SystemExit, match=r"pixel-art 9\.4\.3"):
        train.main([MODEL, "--work", str(tmp_path), "--package", str(tmp_path / "none.tgz")])


def test_a_failing_npm_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    npm = tmp_path / "npm"
    npm.write_text("#!/bin/sh\necho one >&2\necho 'npm error: no network' >&2\nexit 1\n")
    npm.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    with pytest.raises(StrategyError, match="no network") as error:
        package.fetch(tmp_path)
    assert "\n" not in str(error.value)
