"""The comparisons of speed beside other packages, at tiny size."""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from diffusers import DiTTransformer2DModel

from benchmarks.networks import topologies
from benchmarks.networks.topologies import NETWORKS, UNETS, sdxl, sized
from benchmarks.renderers import speed
from benchmarks.sampler_speed import (
    alternating,
    comparison,
    isolated,
    transformer_methods,
    unet_methods,
)
from benchmarks.sampler_speed.alternating import Variant
from benchmarks.sampler_speed.denoising_loop import Network
from benchmarks.sampler_speed.timing import Laps
from benchmarks.work import kernel_launches

CALLS = 5
JOINED = ("flux1", "flux2")
FLAGS = Namespace(turns=2, draws=1, compile=False, batches=[1])
RACES: dict[str, alternating.Variants] = {
    **dict.fromkeys(UNETS, unet_methods.VARIANTS),
    **dict.fromkeys(NETWORKS, transformer_methods.VARIANTS),
}


def build(name: str, calls: int = CALLS) -> Network:
    if name == "sdxl":
        return Network(partial(sdxl, 0.05, 16, (1, 1, 2)), calls, "cpu")
    width, latent = (0.05, 16) if name in UNETS else (0.07, 8)
    return Network(partial(sized, name, width, latent, 2), calls, "cpu")


def embeddings(network: Any) -> int:
    """Of DiT, what a call spares when one embedder runs for every block and the last norm."""
    if not isinstance(network, DiTTransformer2DModel):
        return 0
    blocks, time = network.transformer_blocks, network.transformer_blocks[0].norm1.emb
    linear = (time.timestep_embedder.linear_1, time.timestep_embedder.linear_2)
    return len(blocks) * 2 * sum(one.weight.numel() for one in linear)


class Worked(NamedTuple):
    """A network whose variants have all drawn once, its weights before, and what each took."""

    net: Network
    variants: alternating.Variants
    before: dict[str, torch.Tensor]
    work: dict[str, list[int]]
    failed: dict[str, str]


@cache
def worked(name: str) -> Worked:
    """All variants of a network in turn, once for all tests."""
    net = build(name, 4)
    variants = alternating.fitting(net, RACES[name])
    before = {key: value.clone() for key, value in net.pipe.denoiser.state_dict().items()}
    return Worked(net, variants, before, *alternating.works(net, variants))


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=[] if n in ("sd15", "dit") else [pytest.mark.slow]) for n in RACES],
)
def test_ours_save_what_the_package_of_equal_setting_saves(name: str) -> None:
    net, variants, before, work, failed = worked(name)
    assert set(work) | set(failed) == set(variants)
    assert work["neutral"] == work["unmodified"]
    assert all(variants[one].package for one in failed)
    spared = embeddings(net.pipe.denoiser)
    for one, variant in variants.items():
        # cache-dit runs its first block; single blocks have attention and feed-forward in one.
        if variant.equal in work and "cache-dit" not in variant.equal and name not in JOINED:
            assert (
                [macs + spared for macs in work[one]] == work[variant.equal] != work["unmodified"]
            )
    assert net.work() == work["unmodified"]
    after = net.pipe.denoiser.state_dict()
    assert all(torch.equal(after[key], was) for key, was in before.items())


def test_what_does_not_run_on_a_unet() -> None:
    _, _, _, work, failed = worked("sd15")
    packages = {name for name, variant in unet_methods.VARIANTS.items() if variant.package}
    assert set(work) & packages == {
        "DeepCache N=3",
        "tomesd 0.5",
        *(n for n in packages if "Pyramid" in n),
    }
    assert "UNet2DConditionModel is not officially supported" in failed["cache-dit"]
    assert "nothing to hook" in failed["diffusers MagCache, all ratios 1"]


def test_our_own_errors_are_no_rows() -> None:
    variants = {"ours": Variant(alternating.ours(lambda net: {"tome": {"ratio": 7.0}}))}
    with pytest.raises(ValueError, match=r"tome\.ratio"):
        alternating.works(build("sd15"), variants)


def test_too_little_memory_is_a_row() -> None:
    def lacking(net: Network) -> Any:
        raise torch.OutOfMemoryError("none left")

    failed: dict[str, str] = {}
    with alternating.excusing(Variant(lacking), "ours", failed):
        lacking(None)  # type: ignore[arg-type]
    assert failed == {"ours": "OutOfMemoryError: none left"}
    with (
        pytest.raises(torch.OutOfMemoryError),
        alternating.excusing(Variant(lacking), "unmodified", {}),
    ):
        lacking(None)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["sd15", "sdxl", "dit-xl-2"])
def test_a_batch_repeats_the_rows(name: str) -> None:
    net = build(name)
    shapes: list[Any] = []
    handle = net.pipe.denoiser.register_forward_pre_hook(
        lambda module, args, kwargs: shapes.append((args, kwargs)), with_kwargs=True
    )
    assert len(net.draw(3)) == CALLS
    handle.remove()
    tensors = [one for args, kwargs in shapes for one in (*args[:1], *flat(kwargs))]
    assert {len(one) for one in tensors} == {6}


def flat(given: dict[str, Any]) -> list[torch.Tensor]:
    found: list[torch.Tensor] = []
    for value in given.values():
        found += flat(value) if isinstance(value, dict) else [value]
    return [one for one in found if isinstance(one, torch.Tensor)]


def test_rows_of_a_race() -> None:
    net = build("sd15")
    names = ["deepcache N=3", "DeepCache N=3", "cache-dit"]
    variants = alternating.chosen(unet_methods.VARIANTS, names)
    found = next(comparison.tables(net, variants, FLAGS, partial(alternating.race, net)))["batch_1"]
    assert list(found) == ["unmodified", *names]
    assert found["unmodified"]["speedup"] == 1
    assert "does not run" in found["cache-dit"]
    ours = found["deepcache N=3"]
    assert ours["macs_reduction"] == found["DeepCache N=3"]["macs_reduction"] > 1.5
    assert ours["over_package"]["package"] == "DeepCache N=3"
    spared, saved = 1 - 1 / ours["speedup"], 1 - 1 / ours["macs_reduction"]
    assert ours["realised"] == pytest.approx(spared / saved)
    assert ours["calls"]["full"]["macs_share"] == 1
    assert ours["calls"]["shallow"]["macs_share"] < 0.3
    assert "peak_bytes" not in ours


def test_calls_of_a_transformer_by_kind() -> None:
    """FORA's variants compute at the same calls; in the others no block does any work."""
    net = build("pixart-sigma")
    work, _ = alternating.works(net, alternating.chosen(transformer_methods.VARIANTS, ["fora N=3"]))
    for name in ("fora N=3", "cache-dit, calls of fora N=3"):
        variant = transformer_methods.VARIANTS[name]
        assert variant.places("full", CALLS) == [1, 4]
        assert variant.places("reusing", CALLS) == [2, 3]
    net.pipe.denoiser.transformer_blocks = torch.nn.ModuleList()
    whole, without = work["unmodified"], net.work()
    assert work["fora N=3"] == [*whole[:2], *without[2:4], whole[4]]


def test_laps_are_between_readings() -> None:
    readings = iter([1.0, 3.0, 4.5])
    passed = Laps(lambda: next(readings))
    for _ in range(3):
        passed.mark()
    assert passed.between() == [2.0, 1.5]


@pytest.mark.parametrize(
    ("script", "name", "network"),
    [(unet_methods, "sampler", "sd21"), (transformer_methods, "transformer_speed", "dit-xl-2")],
)
def test_a_script_writes_what_is_rendered(
    script: Any, name: str, network: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(comparison, "RESULTS", tmp_path)
    small = "--width 0.05 --latent 16 --calls 2 --turns 2 --batches 1 2 --device cpu --only neutral"
    monkeypatch.setattr(sys, "argv", [name, *small.split(), "--networks", network])
    script.main()
    data = json.loads((tmp_path / f"{name}-{network}-cpu.json").read_text())
    page = speed.race(data)
    assert network in page
    assert "generation, batch 2" in page
    assert "peak" not in page
    assert page.count("| neutral |") == 2


@pytest.mark.slow
def test_ours_compile_without_breaks() -> None:
    flags = Namespace(
        turns=2, draws=2, compile=True, batches=[1], calls=CALLS, device="cpu", patience=600
    )
    variants = alternating.chosen(unet_methods.VARIANTS, ["deepcache N=3", "DeepCache N=3"])
    race = partial(isolated.race, "sampler", partial(topologies.sized, "sd15", 0.05, 16))
    found = next(comparison.tables(build("sd15"), variants, flags, race))["batch_1"]
    assert found["unmodified"]["graphs"] == 1
    assert (found["deepcache N=3"]["graphs"], found["deepcache N=3"]["breaks"]) == (2, 0)
    assert found["DeepCache N=3"]["graphs"] > 2


def test_a_gpus_rows_show_memory_and_graphs() -> None:
    row = {"speedup": 2.0, "quartiles": [1.9, 2.1], "images_per_second": 3.0, "macs_reduction": 2.5}
    gpu = {"peak_bytes": 2**31, "graphs": 2, "breaks": 0}
    data = {
        "network": "sd15",
        "settings": {"width": 1.0, "compile": True},
        "torch": "2",
        "diffusers": "0",
        "synchronisations": {"ours": 1},
        "batch_8": {"ours": row | gpu, "theirs": {"does not run": "Error: why. More"}},
    }
    page = speed.race(data)
    assert "| peak, GiB | graphs | breaks |" in page
    assert "| ours | 2.00 (1.90 to 2.10) | 3.00 | 2.50 | 2.00 | 2 | 0 |" in page
    assert "| theirs | does not run: Error: why |  |  |  |  |  |" in page
    assert "| ours | 1 |" in page


@pytest.mark.parametrize(
    "name", ["cache-dit, calls of fora N=3", "diffusers PyramidAttentionBroadcast, range 3"]
)
def test_packages_start_anew_with_each_generation(name: str) -> None:
    net = build("pixart-sigma")
    with transformer_methods.VARIANTS[name].setup(net):
        first = net.work()
        assert len(set(first)) > 1
        assert [net.work() for _ in range(3)] == [first] * 3


def test_views_and_empty_tensors_are_not_counted() -> None:
    with torch.no_grad(), kernel_launches.Computed() as mode:
        one = torch.ones(4, 4)
        other = one.t() + 1
        other.add_(other[:0].mul(2).sum(0))
        assert mode.count == 4  # Made, added, the sum over nothing, and added in place.
        torch.nn.functional.dropout(one, training=False).reshape(2, 8).to(torch.float32)
        assert mode.count == 4
        one[:, :2].reshape(8).to(torch.float64)
        torch.max(other, dim=0)
    assert mode.count == 7  # A copy, a conversion, and two tensors of one operator.


def test_operators_by_kind_of_call() -> None:
    net = build("pixart-sigma")
    variants = alternating.chosen(
        transformer_methods.VARIANTS, ["fora N=3", "diffusers FirstBlockCache"]
    )
    found = kernel_launches.rows(net, variants)
    whole, fora = found["unmodified"], found["fora N=3"]
    assert fora["calls"]["full"] * CALLS == whole["operators"]
    saved = 2 * (fora["calls"]["full"] - fora["calls"]["reusing"])
    assert fora["operators"] == whole["operators"] - saved
    assert fora["reduction"] == pytest.approx(whole["operators"] / fora["operators"])
    assert fora["calls"]["reusing"] < fora["calls"]["full"]
    assert "No cache context" in found["diffusers FirstBlockCache"]["does not run"]
