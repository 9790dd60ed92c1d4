"""The benchmarks beside the papers' tables and at equal latency, their main pieces at tiny size."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from PIL import Image

import accel
import strategies
from accel.models.config import read_model
from benchmarks.networks import topologies
from benchmarks.papers import catome, common, dato, fora
from benchmarks.quality import equal_latency, equal_latency_plot, scored_strategies
from benchmarks.sampler_speed import paper_settings, profile_calls
from benchmarks.work import macs
from evaluate import Evaluator
from search import config as configuration
from strategies import Strategy

TINY: dict[str, Any] = {"width": 0.05, "latent": 16}
STEPS = 5


@pytest.fixture(scope="module")
def evaluator() -> Evaluator:
    """tiny-sd on few steps."""
    return Evaluator(read_model("tiny-sd").model_copy(update={"steps": STEPS}))


@pytest.fixture
def front(tmp_path: Path, evaluator: Evaluator) -> Path:
    """A front: one found strategy, one of fewer steps."""
    folder = tmp_path / "front"
    folder.mkdir(parents=True)
    plain = evaluator.unaccelerated
    methods = {"deepcache": {"depth": ["full", 0, "full", 0, 0]}}
    strategies.save(Strategy.create(**(plain.to_json() | {"methods": methods})), folder / "01.json")
    strategies.save(plain.resample(steps=4), folder / "02.json")
    return folder


def space() -> Any:
    return configuration.resolve("tiny-sd", {"space": "unet-small"}).space


def test_everybody_fits_and_is_there_once(evaluator: Evaluator, front: Path) -> None:
    found, unfit = equal_latency.candidates(evaluator, space(), front)
    groups = {name: one.group for name, one in found.items()}
    assert not unfit
    assert set(groups.values()) == {"unaccelerated", "fewer steps", "grid", "preset", "front"}
    assert [name for name, group in groups.items() if group == "front"] == ["front 01"]
    assert "front 02" in found["DDIM, 4 steps"].also  # A variant, whoever found it.
    digests = [one.strategy.digest for one in found.values()]
    assert len(digests) == len(set(digests))
    assert found["dato-b1"].strategy.calls == STEPS
    assert found["dato-b1"].strategy.scheduler == evaluator.unaccelerated.scheduler


def test_rows_are_scored_timed_and_kept(
    evaluator: Evaluator, front: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, _ = equal_latency.candidates(evaluator, space(), front)
    few = {name: found[name] for name in ("unaccelerated", "DDIM, 4 steps", "dato-b1", "front 01")}
    rows, functions = scored_strategies.rows(evaluator, few, 4, 2, tmp_path / "cache")
    assert rows["unaccelerated"]["fd_base"] == pytest.approx(0, abs=1e-9)
    assert rows["unaccelerated"]["speedup"] == 1
    assert rows["front 01"]["fd_base"] > 0
    assert rows["dato-b1"]["intervals"]["psnr"][1] <= rows["dato-b1"]["psnr"]
    # Nothing is drawn again, nor timed.
    monkeypatch.setattr("evaluate.images.image_store.generate_batches", lambda *_: iter(()))
    monkeypatch.setattr(scored_strategies, "run_pipeline", lambda *_: pytest.fail("timed again"))
    again, _ = scored_strategies.rows(evaluator, few, 4, 2, tmp_path / "cache")
    assert again == rows
    verdicts, shares = equal_latency.judge(rows, functions, 4)
    assert set(verdicts) == {"DDIM, 4 steps", "dato-b1"}
    assert (shares["all"]["baselines"], shares["all"]["on_front"]) == (2, 1)
    picture = tmp_path / "front.png"
    document = {"setting": {"images": 4}, "rows": rows, "shares": shares}
    equal_latency_plot.plotted(document, "tiny-sd", picture)
    assert Image.open(picture).width > 1000


def constant(score: float) -> Callable[[Any], float]:
    """A score that does not depend on how often a prompt counts."""
    return lambda weights: score


def test_who_dominates() -> None:
    def row(group: str, seconds: float, fd: float, psnr: float) -> dict[str, Any]:
        figures = dict.fromkeys(equal_latency.FIGURES, fd) | {"psnr": psnr}
        return {"group": group, "seconds": seconds, "also": [], **figures}

    rows = {
        "front fast": row("front", 1.0, 9.0, 20.0),
        "front good": row("front", 2.0, 3.0, 30.0),
        "slower": row("grid", 3.0, 3.0, 31.0),
        "same": row("grid", 2.0, 3.0, 30.0),
        "faster": row("preset", 0.5, 50.0, 10.0),
    }
    dominating = equal_latency.dominating
    assert dominating(rows, "slower", "fd_base") == ["front good"]
    assert dominating(rows, "slower", "psnr") == []
    assert dominating(rows, "same", "fd_base") == []
    assert dominating(rows, "faster", "fd_base") == []
    assert dominating(rows | {"worse": row("grid", 4.0, 10.0, 5.0)}, "worse", "psnr") == [
        "front fast",
        "front good",
    ]
    exact = {name: {"fd_base": constant(one["fd_base"])} for name, one in rows.items()}
    beside = equal_latency.nearest(rows, exact, "slower", 8)
    assert beside is not None
    assert beside["name"] == "front good"
    assert beside["difference"] == [0, 0, 0]
    assert equal_latency.nearest(rows, exact, "faster", 8) is None
    steps = row("fewer steps", 1.5, 4.0, 25.0) | {"also": ["front steps"]}
    rows |= {"steps": steps, "beaten": row("grid", 1.5, 5.0, 20.0)}
    exact |= {name: {"fd_base": constant(rows[name]["fd_base"])} for name in rows}
    _, shares = equal_latency.judge(rows, exact, 8)
    assert (shares["all"]["baselines"], shares["all"]["on_front"]) == (5, 1)
    assert shares["all"]["share"]["fd_base"] == 2 / 4  # "slower" and "beaten".
    assert shares["all"]["by_found"]["fd_base"] == 1 / 5
    assert shares["fewer steps"]["share"]["fd_base"] is None


@pytest.mark.parametrize("name", ["dato", "cat", "fora", "catome"])
def test_published_tables_are_whole(name: str) -> None:
    for table in common.published(name).values():
        assert all(len(row) == len(table["columns"]) for row in table["rows"].values())
        assert table["base"] is None or table["base"] in table["rows"]


def test_published_speedups_are_those_of_the_published_times() -> None:
    for place in (dato.SD15, dato.XL):
        table = common.published("dato")[place]
        before = common.cell(table, table["base"], "latency_s")
        for row in table["rows"]:
            speedup, after = (common.cell(table, row, name) for name in ("speedup", "latency_s"))
            assert before is not None
            assert after is not None
            assert speedup == pytest.approx(before / after, rel=0.02)


def test_work_is_that_of_every_call() -> None:
    plan = dato.b1().resample(calls=6, steps=6, scheduler="DDIMScheduler")
    pipe, given = macs.build("sd15", **TINY)
    whole = sum(macs.by_call(pipe, given, plan))
    assert common.work("sd15", plan, **TINY) == whole
    assert whole < common.work("sd15", common.plain(plan), **TINY)


def test_full_size_is_stable_diffusion() -> None:
    """401.6 billions a row are what Stable Diffusion 1.5's UNet is known to take."""
    plan = common.plain(dato.b1()).resample(steps=1, scheduler="DDIMScheduler")
    assert common.work("sd15", plan) == pytest.approx(2 * 401.6e9, rel=1e-3)


@pytest.mark.slow
def test_dato_counts() -> None:
    rows = list(dato.counted(("deepcache-n3", "tome-0.5"), **TINY))
    rows += dato.counted_xl(**TINY, layers=(1, 1, 1))
    found = {(one["table"], one["row"]): one for one in rows}
    few = found[dato.SD15, "DDIM (10 steps)"]
    assert few["ours"] == pytest.approx(5.1)  # 51 calls of PLMS over 10.
    assert few["ratio"] == pytest.approx(5.1 / 4.34)
    assert found[dato.SD15, "Ours-b1"]["ours"] > 4
    assert found[dato.SD15, "Ours-c1"]["ours"] is None
    assert "tome-0.5," in found[dato.SD15, "ToMeSD-a1"]["why"]
    assert "deepcache-n3," in found[dato.SD15, "DeepCache-a1"]["why"]
    assert found[dato.XL, "Ours"]["ours"] > 1


def test_dato_ablations_are_measured(evaluator: Evaluator, tmp_path: Path) -> None:
    chosen = dato.ablated(evaluator.unaccelerated, ratios=(0.7,))
    assert len(chosen) == 3 + 2 * 3
    rows, _ = scored_strategies.rows(evaluator, chosen, 2, 0, tmp_path)
    found = list(dato.on_tiny_sd(rows))
    ablations = [one for one in found if not one["table"].startswith("Table 1")]
    assert len(ablations) == 8
    assert ablations[0]["published"] == pytest.approx(41.26 / 28.17)
    assert all(one["ours"] > 0 for one in found)


@pytest.mark.slow
def test_the_bound_of_catome_is_what_it_counts_where_all_is_merged() -> None:
    bound = {(one["table"], one["row"]): one for one in catome.bounds(**TINY)}
    pipe, given = topologies.sd15(**TINY)
    methods = {"catome": {"threshold": -1.0, "checkpoints": [0]}}
    plan = topologies.strategy(pipe, 3, methods)
    pipe.scheduler.set_timesteps(3)
    with accel.accelerated(pipe, plan), torch.inference_mode():
        with accel.measuring(pipe, macs=True):
            latents = torch.randn(2, 4, 16, 16)
            for t in pipe.scheduler.timesteps:
                guess = pipe.denoiser(latents, timestep=t, **given).sample
                latents = pipe.scheduler.step(guess, t, latents).prev_sample
        first, *others = [record.macs or 0 for record in accel.stats(pipe)]
    assert first - others[0] == catome.matching(**TINY)
    whole = common.work("sd15", common.plain(plan), **TINY) / 3
    every = bound[catome.ONE, "0.4"]
    assert every["ours"] == pytest.approx(whole / first)
    assert every["published"] == pytest.approx(7.61 / 6.07)
    kept = bound[catome.THREE, "CONF_FIVE"]
    assert whole / first < kept["ours"] < whole / others[0]


def test_fora_counts() -> None:
    rows = list(fora.counted(heads=1, layers=2, latent=8))
    found = {(one["table"], one["row"], one["figure"]): one for one in rows}
    speedups = [found[fora.ONE, f"N = {n}", "speedup"]["ours"] for n in fora.INTERVALS]
    assert speedups == sorted(speedups)
    assert 1 < speedups[0] < 250 / 126 + 0.01
    for one in rows:
        if one["table"] == fora.THREE:
            assert one["ratio"] == pytest.approx(1, abs=0.04)
    chosen = fora.chosen_for(common.plain(fora.plan(20, 2)), (2, 5))
    assert [fora.computed(one.strategy) for one in chosen.values()] == [20, 11, 5]


def test_published_settings_are_timed_by_kinds_of_calls(tmp_path: Path) -> None:
    small = "--width 0.07 --layers 2 --latent 8 --repeats 2 --device cpu --networks"
    target = tmp_path / "speed.json"
    paper_settings.main([*small.split(), "dit-xl-2", "pixart-sigma", "--json", str(target)])
    rows = json.loads(target.read_text())["rows"]
    assert len(rows) == 5 + 2 * 2 * 2
    assert all(one["ours"] > 0 and one["published"] > 1 for one in rows)


def test_a_generation_takes_what_its_calls_take() -> None:
    plan = fora.plan(250, 5)
    short = paper_settings.Short.of(plan)
    assert len(short.kinds) == 2
    assert sum(short.counts.values()) == 250
    full = fora.computed(plan)
    laps = [9.0, 9.0, 1.0, 9.0, 0.25, 9.0]
    assert short.calls == len(laps)
    assert short.total(laps) == full + 0.25 * (250 - full)


def test_calls_are_profiled() -> None:
    sizes = {"device": "cpu", "width": 0.05, "layers": 2, "latent": 16, "calls": 2}
    loop = profile_calls.build("unet", SimpleNamespace(**sizes))  # type: ignore[arg-type]
    found = profile_calls.profiled(loop, "unet", 2, ["tome 0.5"])
    assert set(found) == {"neutral", "tome 0.5"}
    (plain,) = found["neutral"]["calls"]
    assert plain["macs_share"] == 1
    assert found["neutral"]["ours"] == 0  # Of operators that Stratagem's lines call.
    (merged,) = found["tome 0.5"]["calls"]
    assert 0.3 < merged["macs_share"] < 1
    full = merged["ideal_seconds"] / merged["macs_share"]
    assert merged["above"] == pytest.approx(merged["seconds"] / full - merged["macs_share"])
    ours = found["tome 0.5"]
    assert 0 < ours["ours"] < 1
    assert "accel/tokens/merging.py: rank" in ours["ours_by_function"]
    assert not any("mm" in name for name in ours["ours_by_operator"])
    json.dumps(found)


def test_every_family_has_a_loop() -> None:
    sizes = {"device": "cpu", "width": 0.05, "layers": 2, "latent": 16, "calls": 4}
    for family in ("dit", "mmdit"):
        loop = profile_calls.build(family, SimpleNamespace(**sizes))  # type: ignore[arg-type]
        plan = loop.plan(profile_calls.plans(family, 4)["fora N=3"])
        macs = profile_calls.counted(loop, plan)
        assert macs[1] < macs[0] == macs[3]
        assert len(loop.draw()) == 4
