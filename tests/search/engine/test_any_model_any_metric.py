"""The search on any pipeline and by any figure: tiny random models saved as a user has them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image

import strategies
from evaluate import Evaluator
from evaluate.networks.weight_files import VARIABLE
from search import cli
from search import config as configuration
from search.commands import model_setup
from search.commands.options import parser
from search.study.study import Study
from tests.support.pipelines.transformer_pipelines import build as transformer
from tests.support.pipelines.unet_pipelines import build
from tests.support.weight_writers import provide

SETTING = [
    *("--workers", "0", "--images", "2", "--heldout-images", "4"),
    *("--export", "2", "--batch", "2"),
]
FEW = ("--heldout-images", "2")  # Where no interval is asked for.
MODELS = {"sd1": "DDIM", "sdxl": "DDIM", "pixart": "DDIM", "sd3": "FlowMatchEulerDiscrete",
          "dit": "DDIM"}  # fmt: skip
pytestmark = pytest.mark.usefixtures("few_turns")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(VARIABLE, str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


def saved(folders: Path, name: str) -> Path:
    target = folders / name
    if not target.exists():
        pipe = build(name) if name.startswith("sd") and name != "sd3" else transformer(name)
        pipe.save_pretrained(target)
    return target


def arguments(folders: Path, name: str, *more: str) -> list[str]:
    """A search of few evaluations in a space of two choices."""
    knob = "deepcache.depth" if name in ("sd1", "sdxl") else "fora.mlp"
    choices = ["full", 1] if knob == "deepcache.depth" else [True, False]
    solver = f"{MODELS[name]}Scheduler"
    space = folders / f"{name}.yaml"
    space.write_text(
        yaml.safe_dump({"schedulers": [solver], "steps": [3, 4], "knobs": {knob: choices}})
    )
    found = ["--model", str(saved(folders, name)), "--space", str(space), *SETTING]
    found += ["--base-scheduler", MODELS[name], "--base-steps", "4", "--budget", "4evals"]
    return [*found, *([] if name == "dit" else ["--size", "32"]), *more]


@pytest.mark.parametrize(
    "name",
    ["sd1", "dit", *(pytest.param(n, marks=pytest.mark.slow) for n in ("sdxl", "pixart", "sd3"))],
)
def test_every_family_is_searched(
    name: str, folders: Path, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    provide("inception", cache, monkeypatch)
    run = tmp_path / "run"
    asked = ["--objective", "fid", "--objective", "latency"] if name == "sd1" else []
    assert cli.main(arguments(folders, name, *asked, "--out", str(run))) == 0
    table = pd.read_csv(run / "front.csv")
    assert {"unaccelerated", "front"} <= set(table["role"]) | {"front"}
    one = strategies.load(run / "strategies" / "fastest.json")
    assert one.scores["speedup"] > 0
    assert one.provenance["scored"] == one.digest
    assert one.provenance.get("skip_levels") == {"sd1": 8, "sdxl": 6}.get(name)
    names = list(configuration.read_search_config(run).objectives)
    assert names == (["fid_self", "latency_s"] if asked else ["kid_base", "latency_s"])
    lossless_metric = "fid_self" if asked else "kid_self"
    assert f"{lossless_metric}_change_low" in table.columns
    assert np.isfinite(table[[names[0], lossless_metric, "psnr"]]).all().all()
    assert (run / "pareto.png").stat().st_size > 5000
    assert "hypervolume" in capsys.readouterr().out
    pngs = list((run / "unaccelerated").rglob("*.png"))
    assert len(pngs) == 2 + 4  # Of both splits, each once; the reference keeps none.
    sizes = [path.stat().st_size for path in run.glob("*.safetensors")]
    assert len(sizes) == 4
    assert max(sizes) < 5 * (2048 * 4 + 1000)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["sdxl", "sd3"])
def test_a_folder_is_searched_from_images(name: str, folders: Path, tmp_path: Path) -> None:
    (tmp_path / "inputs").mkdir()
    noise = np.random.default_rng(0)
    for i in range(8):
        pixels = noise.integers(0, 255, (32, 32, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "inputs" / f"{i}.png")
    run = tmp_path / "run"
    asked = ["--objective", "psnr", "--objective", "latency", "--task", "image-to-image"]
    asked += ["--inputs", str(tmp_path / "inputs"), "--strength", "0.75", "--out", str(run)]
    assert cli.main(arguments(folders, name, *asked)) == 0
    rows = Study(run / "study.journal").evaluations
    assert len(rows) == 4
    assert all(row.succeeded and row.scores["psnr"] > 0 for row in rows)
    assert any(row.strategy.methods for row in rows)
    assert configuration.read_search_config(run).model.share == 0.75
    assert list((run / "strategies").glob("0*.json"))


def test_a_stopped_search_of_a_folder_goes_on(
    folders: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    run = tmp_path / "run"
    asked = ("--objective", "psnr", "--objective", "latency", "--sensitivity", "2", *FEW)
    given = arguments(folders, "dit", *asked, "--out", str(run))
    assert cli.main(given) == 0
    assert "no loss: " not in capsys.readouterr().out  # Every change is a loss by PSNR.
    monkeypatch.chdir(tmp_path)
    assert cli.main(["--resume", str(run), "--budget", "6evals"]) == 0
    rows = Study(run / "study.journal").evaluations
    assert len({row.strategy.digest for row in rows}) == 6
    assert all(row.succeeded and "kid_base" not in row.scores for row in rows)
    assert any(row.origin == "sensitivity" for row in rows)
    assert cli.main(["--resume", str(run), "--base-steps", "9"]) == 2
    assert "--base-steps cannot change" in capsys.readouterr().err


def test_missing_weights_are_said_before_the_model_is_loaded(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    run = ["--model", str(tmp_path / "empty"), "--out", str(tmp_path / "run")]
    for more, said in (
        ((), ["kid", "inception-2015-12-05.pt", "f58cb9b6ec323ed6", "cache/weights"]),
        (("--objective", "image-reward", "--objective", "latency"), ["ImageReward.pt"]),
        (("--objective", "psnr", "--objective", "macs", "--max-lpips", "0.2"), ["alexnet"]),
    ):
        assert cli.main([*run, *more]) == 2
        (line,) = capsys.readouterr().err.strip().splitlines()
        for part in (*said, "--download", "psnr or ssim, such as --objective psnr"):
            assert part in line
    assert not (tmp_path / "run").exists()
    assert cli.main([*run, "--objective", "psnr", "--objective", "latency"]) == 2
    assert "no model_index.json" in capsys.readouterr().err


def test_memory_is_an_objective_and_a_limit(folders: Path, tmp_path: Path) -> None:
    run = tmp_path / "free"
    asked = ["--objective", "psnr", "--objective", "memory", "--budget", "6evals", *FEW]
    assert cli.main(arguments(folders, "dit", *asked, "--out", str(run))) == 0
    rows = Study(run / "study.journal").evaluations
    found = {row.strategy.digest: row.scores["memory_bytes"] for row in rows}
    assert len(set(found.values())) > 1
    assert all(row.objectives[1] == row.scores["memory_bytes"] > 1000 for row in rows)
    limit = sorted(set(found.values()))[0]
    limited = tmp_path / "limited"
    asked = ["--objective", "psnr", "--objective", "latency", "--budget", "6evals", *FEW]
    asked += ["--max-memory", f"{limit / 2**20:.9f}MiB"]
    assert cli.main(arguments(folders, "dit", *asked, "--out", str(limited))) == 0
    again = Study(limited / "study.journal").evaluations
    for row in again:
        assert row.scores["memory_bytes"] == found.get(row.strategy.digest, limit) or row.violation
    assert {row.feasible for row in again} == {True, False}
    kept = [strategies.load(p) for p in (limited / "strategies").glob("*.json")]
    assert kept
    assert all(one.scores["memory_bytes"] <= limit + 1 for one in kept)


@pytest.mark.slow
def test_real_references(
    folders: Path, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    provide("inception", cache, monkeypatch)
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(50, 2048))
    np.savez(tmp_path / "stats.npz", mu=rows.mean(0), sigma=np.cov(rows.T))
    given = arguments(folders, "dit", "--reference", str(tmp_path / "stats.npz"))
    assert cli.main([*given, "--out", str(tmp_path / "a")]) == 2
    assert "kid needs inception features of every image" in capsys.readouterr().err
    asked = ["--objective", "fid", "--objective", "latency", "--max-fid-increase", "1e6"]
    assert cli.main([*given, *asked, "--out", str(tmp_path / "b")]) == 0
    written = configuration.read_search_config(tmp_path / "b")
    assert written.objectives[0] == "fid_real"
    assert written.constraints == {"max-fid_real-increase": 1e6}
    assert cli.main(arguments(folders, "dit", "--reference", "nowhere")) == 2
    assert "no folder of images" in capsys.readouterr().err


@pytest.mark.slow
def test_a_dry_run_measures_all_of_a_default_space(
    folders: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """By default tests/end_to_end/test_search_stacks.py searches default spaces of a family."""
    given = ["--model", str(saved(folders, "sd3")), "--objective", "psnr", "--dry-run"]
    few = ["--size", "32", "--base-steps", "3", "--steps", "3", "--budget", "50evals"]
    assert cli.main([*given, "--objective", "latency", *SETTING, *few]) == 0
    assert "initial strategies" in capsys.readouterr().out


def test_the_space_follows_from_the_family(folders: Path) -> None:
    for name, method in (("sd1", "catome"), ("pixart", "tgate"), ("sd3", "toca"), ("dit", "cat")):
        flags = parser().parse_args(["--model", str(saved(folders, name))])
        _, model = model_setup.load_model(flags)
        found = configuration.resolve(model, {"objectives": ["psnr", "latency"]})
        assert method in found.space["composed"]
        assert ("tgate" in found.space["composed"]) == (name in ("sd1", "pixart"))
        assert ("fora.cross" in found.space["knobs"]) == (name == "pixart")
        assert model.scheduler in found.space["schedulers"]
        assert found.space["steps"][-1] == model.steps


def test_held_out_prompts_are_others(folders: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = parser().parse_args(["--model", str(saved(folders, "sd1"))])
    pipe, model = model_setup.load_model(flags)
    prompts = Evaluator(model, "cpu", pipe).prompts
    search, heldout = prompts["search"].first(400), prompts["heldout"].first(600)
    assert not set(search.texts) & set(heldout.texts)
    seeds = [set(one.seeds) for one in prompts.values()]
    assert sum(map(len, seeds)) == len(set().union(*seeds))
    flags.prompts = "zoo:search"
    _, model = model_setup.load_model(flags)
    assert model.search_prompts == model.heldout_prompts == "zoo:search"
    given = arguments(folders, "sd1", "--objective", "psnr", "--objective", "latency")
    assert cli.main([*given, "--images", "1500", "--heldout-images", "600"]) == 2
    assert "need 2100 prompts; imagenet has 2000" in capsys.readouterr().err


@pytest.mark.slow
def test_a_bundled_model_by_inception(
    cache: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    provide("inception", cache, monkeypatch)
    assert cli.main(["--objective", "fid_base", "--objective", "latency", "--dry-run"]) == 2
    assert "fid reads inception features" in capsys.readouterr().err
    given = ["--objective", "fid", "--objective", "latency", "--reference", "self"]
    assert cli.main([*given, "--workers", "0", "--dry-run"]) == 0


@pytest.mark.slow
def test_ray_workers_search_a_folder(folders: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    given = arguments(folders, "sd1", "--objective", "psnr", "--objective", "latency")
    given[given.index("--workers") + 1] = "2"
    assert cli.main([*given, "--images", "40", "--budget", "6evals", "--out", str(run)]) == 0
    rows = Study(run / "study.journal").evaluations
    assert len(rows) == 6
    assert all(row.succeeded for row in rows)
    assert len(list((run / "unaccelerated").rglob("*.png"))) == 40 + 4
