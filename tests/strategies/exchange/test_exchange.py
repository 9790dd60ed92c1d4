"""Settings of other tools: what each can express, and that nothing is lost on the way and back."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

import strategies
from strategies import Strategy, StrategyError
from strategies.cli import main
from strategies.exchange import cache_dit_import, serving
from strategies.exchange.block_cache import slopes
from strategies.exchange.cache_dit import cache_dit, settings_text
from strategies.exchange.cache_dit_import import Given
from strategies.step_masks import NAMES, published_mask

FLOW = "FlowMatchEulerDiscreteScheduler"
MASK = [1, 1, 0, 0, 1, 0, 1, 0, 0, 1]


def made(depth: list[Any], family: str = "mmdit", **knobs: Any) -> Strategy:
    return Strategy.create(
        name="made",
        family=family,
        scheduler="DDIMScheduler" if family == "dit" else FLOW,
        steps=len(depth),
        calls=len(depth),
        methods={"deltacache": {"depth": depth, **knobs}},
    )


def masked(mask: Any, front: int = 1, **knobs: Any) -> Strategy:
    return made(["full" if one else front for one in mask], **knobs)


@pytest.mark.parametrize("name", NAMES)
def test_masks_are_those_of_the_package(name: str) -> None:
    steps_mask = pytest.importorskip("cache_dit").steps_mask
    for steps in (4, 6, *range(8, 130), 250, 1000):
        theirs = steps_mask(total_steps=steps, mask_policy=name)
        assert [int(one) for one in published_mask(name, steps)] == theirs, steps


@pytest.mark.parametrize("steps", [1, 2, 3, 5, 7])
def test_too_few_steps_for_a_mask(steps: int) -> None:
    with pytest.raises(StrategyError, match=rf"no mask for {steps} steps; it has 4, 6, and 8"):
        published_mask("slow", steps)


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_what_is_written_for_cache_dit_comes_back(data: st.DataObject) -> None:
    mask = (True, *data.draw(st.lists(st.booleans(), min_size=1, max_size=40)))
    family = data.draw(st.sampled_from(["dit", "mmdit", "transformer"]))
    front, tail = data.draw(st.integers(1, 30)), data.draw(st.integers(0, 30))
    sloped = data.draw(st.booleans())
    one = masked(mask, front, family=family, tail=tail, order=slopes(mask) if sloped else 0)
    text = settings_text(cache_dit(one))
    back = cache_dit_import.from_settings(json.loads(text))
    assert back.digest == one.digest
    again = settings_text(cache_dit(back))
    assert json.loads(again)["cache_config"] == json.loads(text)["cache_config"]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.booleans(), min_size=8, max_size=60), st.integers(1, 9), st.integers(0, 9))
def test_the_bins_of_sglang_make_the_mask(mask: list[bool], front: int, tail: int) -> None:
    one = masked([True, *mask], front, tail=tail)
    lines = serving.sglang(one).splitlines()
    found = dict(line.removeprefix("SGLANG_CACHE_DIT_").split("=") for line in lines[1:])
    bins = [[int(n) for n in found[f"SCM_{part}_BINS"].split(",")] for part in ("COMPUTE", "CACHE")]
    made: list[bool] = []
    for i in range(len(bins[0])):
        made += [True] * bins[0][i] + [False] * (bins[1][i] if i < len(bins[1]) else 0)
    assert made == [True, *mask]
    assert found["SCM_POLICY"] == "static"
    if not all(mask):
        assert (found["FN"], found["BN"]) == (str(front), str(tail))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("steps", [8, 20, 28, 50])
def test_vllm_omni_takes_the_published_masks(name: str, steps: int) -> None:
    one = masked(published_mask(name, steps), 2, tail=1)
    config = json.loads(serving.vllm_omni(one))
    assert published_mask(config.pop("scm_steps_mask_policy"), steps) == published_mask(name, steps)
    assert config == {
        "Fn_compute_blocks": 2,
        "Bn_compute_blocks": 1,
        "max_warmup_steps": 0,
        "scm_steps_policy": "static",
        "enable_taylorseer": False,
        "taylorseer_order": 1,
    }


def test_flags_of_stable_diffusion_cpp(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    one = masked(MASK, 2, tail=1)
    flags = serving.sd_cpp(one).split()
    assert dict(zip(flags[::2], flags[1::2], strict=True)) == {
        "--steps": "10",
        "--cache-mode": "dbcache",
        "--cache-option": "Fn=2,Bn=1,warmup=0",
        "--scm-mask": "1,1,0,0,1,0,1,0,0,1",
        "--scm-policy": "static",
    }
    strategies.save(one, tmp_path / "one.json")
    assert main(["export", str(tmp_path / "one.json"), "--to", "sd-cpp"]) == 0
    out, err = capsys.readouterr()
    assert out == serving.sd_cpp(one)
    assert err.startswith("note: ")
    assert len(err.splitlines()) == 1


HEUN = {"scheduler": "FlowMatchHeunDiscreteScheduler", "steps": 5, "calls": 9}


@pytest.mark.parametrize("target", ["cache-dit", "sglang", "vllm-omni", "sd-cpp"])
@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"deltacache": {"depth": ["full", 0]}},
            r"deltacache.depth\[1\], which is 0; at least one",
        ),
        ({"deltacache": {"depth": ["full", "skip"]}}, r'depth\[1\], which is "skip"; at least one'),
        (
            {"deltacache": {"depth": ["full", 1, 2]}},
            r"depth\[2\], which is 2 after depth\[1\] was 1",
        ),
        (
            {"deltacache": {"depth": ["full", 1, "full", 1], "tail": [0, 1, 0, 2]}},
            r"tail\[3\], which is 2 after tail\[1\] was 1",
        ),
        (
            {"deltacache": {"depth": ["full", "full", 1], "order": 1}},
            r"deltacache.order\[2\], which is 1 after call 1 was computed",
        ),
        ({"guidance": {"mode": ["full", "off"]}}, r"methods.guidance; only deltacache"),
        (
            {
                "deltacache": {"depth": ["full", 1]},
                "fora": {"attn": [True, False], "mlp": [True, False]},
            },
            "methods.deltacache and methods.fora together|methods.fora",
        ),
    ],
)
def test_what_no_tool_expresses(target: str, fields: Any, message: str) -> None:
    calls = max(len(v) for k in fields.values() for v in k.values() if isinstance(v, list))
    calls = max(calls, 2)
    one = Strategy.create(family="mmdit", scheduler=FLOW, steps=calls, calls=calls, methods=fields)
    write = {"cache-dit": cache_dit, "sglang": serving.sglang}
    write |= {"vllm-omni": serving.vllm_omni, "sd-cpp": serving.sd_cpp}
    with pytest.raises(StrategyError, match=message):
        write[target](one)


@pytest.mark.parametrize(
    ("write", "one", "message"),
    [
        (
            serving.vllm_omni,
            masked(MASK),
            "deltacache with this mask: .*; the nearest, ultra, differs at calls 3, 4",
        ),
        (serving.vllm_omni, masked([1, 1, 0]), "deltacache with 3 steps: cache-dit has no mask"),
        (serving.sglang, masked([1, 1, 0]), "deltacache with 3 steps; it takes 8 or more"),
        (
            serving.sd_cpp,
            masked([1, 1, 1, 1, 0], order=[0, 0, 0, 0, 1]),
            "deltacache.order above 0: its TaylorSeer takes no steps mask",
        ),
    ],
)
def test_what_a_server_cannot_express(write: Any, one: Strategy, message: str) -> None:
    with pytest.raises(StrategyError, match=f"cannot express {message}"):
        write(one)


@pytest.mark.parametrize("write", [serving.sglang, serving.vllm_omni, serving.sd_cpp])
def test_a_server_counts_steps(write: Any) -> None:
    fields = {"family": "mmdit", "methods": {"deltacache": {"depth": ["full", *[1] * 8]}}}
    with pytest.raises(StrategyError, match="9 calls in 5 steps; its masks have one entry"):
        write(Strategy.create(**fields, **HEUN))


@pytest.mark.parametrize("write", [serving.sglang, serving.vllm_omni, serving.sd_cpp])
def test_nothing_to_reuse(write: Any) -> None:
    assert write(made(["full"] * 5))


BASE = {"steps_computation_mask": MASK, "steps_computation_policy": "static"}
FACTS = Given("transformer", FLOW)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"steps_computation_mask": None}, "steps_computation_mask is missing; without it"),
        ({"steps_computation_mask": "slow"}, "mask 'slow' needs num_inference_steps"),
        ({"steps_computation_mask": "best", "num_inference_steps": 9}, "mask 'best' is unknown"),
        ({"steps_computation_mask": []}, "give a list of 0 and 1"),
        ({"steps_computation_mask": 7}, "give a list of 0 and 1"),
        ({"steps_computation_mask": [1, 2]}, r"steps_computation_mask\[1\] is 2; give 0 or 1"),
        ({"steps_computation_mask": [0, 1]}, "nothing is there to reuse at the first call"),
        ({"num_inference_steps": 12}, "10 values and num_inference_steps is 12; give as many"),
        ({"num_inference_steps": "12"}, "give a whole number from 1"),
        ({"steps_computation_policy": "dynamic"}, 'policy is "dynamic", so that a threshold'),
        ({"Fn_compute_blocks": 0}, "Fn_compute_blocks is 0; give a whole number from 1"),
        ({"Bn_compute_blocks": -1}, "Bn_compute_blocks is -1; give a whole number from 0"),
        ({"cache_type": "DBPrune"}, "cache_type is 'DBPrune'; a strategy expresses DBCache alone"),
        ({"enable_dmd": True}, "no strategy expresses its DMD calibrator"),
        ({"force_refresh_step_hint": 4}, "no strategy expresses a refresh in the middle"),
        ({"calibrator_cache_type": "hidden_states"}, "a strategy keeps the residual"),
        ({"enable_taylorseer": True}, "give both"),
        ({"enable_taylorseer": True, "taylorseer_order": 2}, "taylorseer_order is 2"),
    ],
)
def test_settings_that_no_strategy_expresses(change: dict[str, Any], message: str) -> None:
    with pytest.raises(StrategyError, match=message):
        cache_dit_import.from_settings({"cache_config": BASE | change}, FACTS)


def test_facts_that_are_missing() -> None:
    for facts, missing in ((Given(None, FLOW), "family"), (Given("mmdit", None), "scheduler")):
        with pytest.raises(StrategyError, match=f"say no {missing}; give --{missing}"):
            cache_dit_import.from_settings(BASE, facts)
    with pytest.raises(StrategyError, match="family is 'unet'; give one of dit, mmdit"):
        cache_dit_import.from_settings(BASE, Given("unet", FLOW))
    with pytest.raises(StrategyError, match="10 values, but 12 steps"):
        cache_dit_import.from_settings(BASE, Given("mmdit", FLOW, 12))
    with pytest.raises(StrategyError, match="are a mapping"):
        cache_dit_import.from_settings([1, 0], FACTS)


def test_defaults_are_those_of_the_package() -> None:
    config = pytest.importorskip("cache_dit").DBCacheConfig()
    found = cache_dit_import.from_settings(BASE, FACTS).methods["deltacache"].model_dump()
    assert {found["depth"][2], found["tail"][2]} == {
        config.Fn_compute_blocks,
        config.Bn_compute_blocks,
    }
    assert config.steps_computation_policy == "dynamic"


def test_files_and_masks_from_the_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = {"cache_config": BASE | {"Fn_compute_blocks": 3, "residual_diff_threshold": 0.12}}
    path, out = tmp_path / "found.yaml", tmp_path / "new" / "one.json"
    path.write_text(yaml.safe_dump(config))
    facts = ["--family", "transformer", "--scheduler", FLOW, "--out", str(out)]
    assert main(["import", str(path), *facts]) == 0
    one = strategies.load(out)
    assert (one.name, one.digest) == ("found", masked(MASK, 3, family="transformer").digest)
    assert main(["import", "fast", "--steps", "28", *facts]) == 0
    assert (
        strategies.load(out).digest
        == masked(published_mask("fast", 28), family="transformer").digest
    )
    capsys.readouterr()
    for words, message in (
        (["fast", *facts], "error: mask 'fast' depends on the number of steps; give --steps"),
        (["fast", "--steps", "0", *facts], "error: --steps is 0; give at least 1"),
        (["fest", *facts], "error: fest: no such file, and no mask of cache-dit"),
        ([str(path)], f"error: {path}: the settings say no family; give --family"),
    ):
        assert main(["import", *words]) == 2
        out_text, err = capsys.readouterr()
        assert out_text == ""
        assert err.startswith(message)
        assert len(err.splitlines()) == 1


@settings(max_examples=150, deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from([*BASE, "cache_config", "strategy", "num_inference_steps"]), inner
            )
        ),
        max_leaves=8,
    )
)
def test_any_settings_are_read_or_refused_in_words(data: Any) -> None:
    for facts in (FACTS, Given()):
        with suppress(StrategyError):
            assert cache_dit_import.from_settings(data, facts).calls > 0
