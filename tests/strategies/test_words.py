"""What error messages share: near names, plain words for limits, one line; Ctrl-C in one line."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from accel import cli as accel_cli
from accel.models.config import read_model
from evaluate import cli as evaluate_cli
from evaluate.images import prompts
from search import cli as search_cli
from search import config
from strategies import Strategy, StrategyError
from strategies import cli as strategies_cli
from strategies.data_files.configs import configs
from strategies.words import did_you_mean
from tests.support.paths import ROOT
from zoo import folder

DRAW = ["generate", "--prompt", "x", "--out", "x.png"]


def test_near_names_are_offered_and_far_ones_are_not() -> None:
    names = ["sd15", "sd21", "tiny-sd", "sdxl"]
    assert did_you_mean("SD-15", names) == "; did you mean 'sd15'?"
    assert did_you_mean("tiny-ds", names) == "; did you mean 'tiny-sd'?"
    assert did_you_mean("flamingo", names) == ""


@pytest.mark.parametrize(
    ("main", "arguments", "near"),
    [
        (search_cli.main, ["--model", "sd-15"], "sd15"),
        (evaluate_cli.main, ["--model", "tiny_sd"], "tiny-sd"),
        (accel_cli.main, [*DRAW, "--strategy", "dato-b1", "--model", "tinysd"], "tiny-sd"),
        (accel_cli.main, [*DRAW, "--strategy", "deepcach-n3"], "deepcache-n3"),
        (search_cli.main, ["--objective", "fid_bsae", "--objective", "latency"], "fid_base"),
        (search_cli.main, ["--space", "unet-datto"], "unet-dato"),
        (search_cli.main, ["--initial", "gird"], "grid"),
        (search_cli.main, ["statsu"], "status"),
        (evaluate_cli.main, ["--metrics", "psrn"], "psnr"),
        (strategies_cli.main, ["methods", "deepcash"], "deepcache"),
        (strategies_cli.main, ["show", "fora_n3"], "fora-n3"),
    ],
)
def test_every_command_offers_the_name_that_was_meant(
    main: object, arguments: list[str], near: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert callable(main)
    assert main(arguments) == 2
    shown = capsys.readouterr().err
    assert f"did you mean {near!r}?" in shown
    assert len(shown.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--workers", "-1"], "workers is -1: give at least 0"),
        (["--images", "1"], "images is 1: give at least 2"),
        (["--gpus-per-worker", "0"], "gpus_per_worker is 0.0: give more than 0"),
        (["--timeout", "0"], "timeout is 0.0: give more than 0"),
        (["--export", "0"], "export is 0: give at least 1"),
        (["--objective", "latency"], "give one more, such as --objective kid --objective latency"),
        (["--seed", "-3"], "seed is -3: give at least 0"),
    ],
)
def test_limits_are_said_in_plain_words(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert search_cli.main(arguments) == 2
    shown = capsys.readouterr().err
    assert words in shown
    assert "Input should" not in shown
    assert "Tuple" not in shown


def test_a_strategys_limits_are_said_in_plain_words() -> None:
    with pytest.raises(StrategyError, match="steps is 0: give at least 1"):
        Strategy.create(family="unet", scheduler="DDIMScheduler", steps=0, calls=4)
    with pytest.raises(StrategyError, match="steps is 'x': give a whole number"):
        Strategy.create(family="unet", scheduler="DDIMScheduler", steps="x", calls=4)


def test_settings_that_are_no_yaml_are_one_line(tmp_path: Path) -> None:
    (tmp_path / "space.yaml").write_text("knobs: [\n  - }\n\tx")
    with pytest.raises(StrategyError, match="cannot be read as YAML") as told:
        config.resolve("tiny-sd", {"space": str(tmp_path / "space.yaml")})
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("text", ["model: {}\n", "{", "just words", ""])
def test_a_damaged_config_of_a_run_names_the_file(text: str, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(text)
    with pytest.raises(StrategyError, match=r"config\.yaml") as told:
        config.read_search_config(tmp_path)
    assert "\n" not in str(told.value)


def test_data_are_found_beside_a_project_with_packages_of_these_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`python -m` puts the working directory first: what lies in it is no data of ours."""
    for name in ("configs", "configs/models", "zoo", "presets"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("")
    code = (
        "import configs, sys; assert configs.__file__.startswith(sys.argv[1]);"
        "from strategies.data_files.places import sibling_folder;"
        "from strategies import presets, cli;"
        "assert 'dato-b1' in presets();"
        "assert (sibling_folder('configs') / 'models' / 'tiny-sd.yaml').is_file();"
        "assert (sibling_folder('zoo') / 'prompts' / 'search.txt').is_file();"
    )
    path = os.pathsep.join([str(tmp_path), str(ROOT)])
    subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        cwd=tmp_path, env=os.environ | {"PYTHONPATH": path}, check=True,
    )  # fmt: skip
    for name in [name for name in sys.modules if name.split(".")[0] == "configs"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    import configs

    assert configs.__file__.startswith(str(tmp_path))
    assert "tiny-sd" in configs_of("models")
    assert read_model("tiny-sd").name == "tiny-sd"
    assert prompts.load_prompts("zoo:search", 0).texts
    assert (folder("tiny-sd") / "model_index.json").is_file()


configs_of = configs


@pytest.mark.parametrize(
    ("module", "called", "arguments"),
    [
        (
            accel_cli,
            "accel.commands.generate_command.find_strategy",
            [*DRAW, "--strategy", "dato-b1"],
        ),
        (evaluate_cli, "evaluate.commands.score.prepare", ["--strategy", "dato-b1"]),
        (search_cli, "search.commands.session.default_device", ["--dry-run"]),
        (search_cli, "search.commands.run_options.runs.load_run", ["status", "run"]),
        (search_cli, "search.commands.run_options.runs.load_run", ["report", "run"]),
        (strategies_cli, "strategies.commands.preset_listing.presets", ["list"]),
    ],
)
def test_ctrl_c_is_one_line_in_every_command(
    module: object,
    called: str,
    arguments: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        signal.raise_signal(signal.SIGINT)

    former = signal.getsignal(signal.SIGINT)
    monkeypatch.setattr(called, interrupt)
    try:
        assert module.main(arguments) == 130  # type: ignore[attr-defined]
        assert signal.getsignal(signal.SIGINT) is former  # For whoever called `main`.
    finally:
        signal.signal(signal.SIGINT, former)
    assert len(capsys.readouterr().err.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("package", "words", "name", "line"),
    [
        ("accel", [*DRAW, "--strategy", "dato-b1"], "torch", "interrupted"),
        ("evaluate", [], "torch", "stopped; the same command continues with the images generated"),
        ("search", ["--help"], "search.commands", "interrupted"),
        ("strategies", ["--help"], "strategies.cli", "interrupted"),
    ],
)
def test_ctrl_c_while_the_packages_are_imported_is_one_line(
    package: str, words: list[str], name: str, line: str, tmp_path: Path
) -> None:
    """A module that the command line imports is replaced by one that gets Ctrl-C."""
    (tmp_path / "sitecustomize.py").write_text(
        "import sys, signal\n"
        "class Interrupt:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name == {name!r}:\n"
        "            signal.raise_signal(signal.SIGINT)\n"
        "sys.meta_path.insert(0, Interrupt())\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", package, *words],
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])},
        capture_output=True,
        text=True,
    )
    assert done.stderr.startswith(line)
    assert done.stderr.count("\n") == 1
    assert done.returncode == 130
