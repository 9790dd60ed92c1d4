"""`python -m accel generate` on the bundled model: the images, what is printed, bad input."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import accel
import strategies
import zoo
from accel.call_records import CallRecord
from accel.cli import main
from accel.commands import image_files
from accel.commands.generate import GenerationRequest, generate_both, summarise_calls
from strategies import Strategy
from tests.support.paths import ROOT

PROMPT = "a large red circle on the left on a plain dark background"
DEPTH = ["full", 1, "full", 0]


@pytest.fixture
def quick(tmp_path: Path) -> Path:
    """A strategy of four steps."""
    path = tmp_path / "quick.json"
    strategies.save(made({"deepcache": {"depth": DEPTH}, "tome": {"ratio": 0.5}}), path)
    return path


def made(methods: dict[str, Any], steps: int = 4) -> Strategy:
    return Strategy.create(
        family="unet", scheduler="DDIMScheduler", steps=steps, calls=steps, methods=methods
    )


def run(capsys: pytest.CaptureFixture[str], *arguments: Any) -> str:
    """What a command that succeeds prints."""
    code = main(["generate", "--prompt", PROMPT, "--device", "cpu", *map(str, arguments)])
    shown = capsys.readouterr()
    # On a busy machine there is a line of progress now and then.
    err = re.sub(r"^.+: \d+ of \d+ images\n", "", shown.err, flags=re.MULTILINE)
    assert (code, err) == (0, "")
    return shown.out


def fails(capsys: pytest.CaptureFixture[str], *arguments: Any) -> str:
    assert main(["generate", "--prompt", PROMPT, *map(str, arguments)]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert len(shown.err.splitlines()) == 1
    assert shown.err.startswith("error: ")
    return shown.err


def pixels(path: Path) -> Any:
    return np.asarray(Image.open(path).convert("RGB")).astype(int)


def expected(strategy: Strategy, seed: int, **settings: Any) -> Any:
    """What the sampler draws in Python."""
    pipe = zoo.load("tiny-sd")
    settings = {"guidance_scale": 5.0, "height": 32, "width": 32} | settings
    with accel.accelerated(pipe, strategy, set_scheduler=True):
        image = pipe(
            PROMPT,
            num_inference_steps=strategy.steps,
            generator=torch.Generator().manual_seed(seed),
            **settings,
        ).images[0]
    return np.asarray(image).astype(int)


def test_one_image_is_what_the_sampler_draws(
    tmp_path: Path, quick: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "new" / "folder" / "x.png"
    out = run(capsys, "--strategy", quick, "--seed", 3, "--negative", "square", "--out", target)
    one = strategies.load(quick)
    assert (pixels(target) == expected(one, 3, negative_prompt="square")).all()
    assert (pixels(target) != expected(one, 3)).any()
    assert "quick: DDIMScheduler, 4 steps" in out
    assert "deepcache at 2 of 4 calls: depth 1 (1), 0 (1)" in out
    assert re.search(r"^quick, seed 3: (\d+ ms|\d+\.\d\d s)$", out, re.MULTILINE)
    assert "4 calls ran: 2 in full, 1 at depth 1, 1 at depth 0; where" in out
    assert [path.name for path in target.parent.iterdir()] == ["x.png"]


def test_settings_replace_the_models_own(
    tmp_path: Path, quick: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "x.png"
    size = ["--height", 48, "--width", 32, "--guidance", 2]
    words = ["--prompt", PROMPT, "--strategy", quick, *size, "--out", target, "--json"]
    assert main(["generate", *map(str, words)]) == 0
    shown = capsys.readouterr()
    told = json.loads(shown.out)  # And nothing else.
    assert [call["depth"] for call in told["strategy"]["calls"]] == DEPTH
    assert f"written to {told['file']}" in shown.err
    one = strategies.load(quick)
    found = expected(one, 0, height=48, guidance_scale=2.0)
    assert pixels(target).shape == (48, 32, 3)
    assert (pixels(target) == found).all()


def test_several_images_are_a_grid_of_rising_seeds(
    tmp_path: Path, quick: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "x.png"
    out = run(capsys, "--strategy", quick, "--images", 3, "--seed", 5, "--out", target)
    assert re.findall(r"seed (\d+): ", out) == ["5", "6", "7"]
    found = pixels(target)
    assert found.shape == (64, 64, 3)
    one = strategies.load(quick)
    assert (found[:32, 32:] == expected(one, 6)).all()
    assert (found[32:, :32] == expected(one, 7)).all()
    assert (found[32:, 32:] == 255).all()


def test_compare_puts_the_unaccelerated_image_beside_it(
    tmp_path: Path, quick: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = tmp_path / "short.yaml"
    text = (ROOT / "configs" / "models" / "tiny-sd.yaml").read_text()
    model.write_text(text.replace("steps: 25", "steps: 6"))
    target = tmp_path / "x.png"
    flags = ["--model", model, "--strategy", quick, "--compare", "--repeats", 1]
    told = tmp_path / "told.json"
    out = run(capsys, *flags, "--out", target, f"--json={told}")
    assert "unaccelerated (DDIMScheduler, 6 steps)" in out
    times = json.loads(told.read_text())
    assert f"speedup: {times['speedup']:.2f}x" in out
    assert len(times["unaccelerated"]["timings"]) == 1
    assert re.search(r"^speedup: \d+\.\d\dx$", out, re.MULTILINE)
    found, gap = pixels(target), image_files.GAP
    plain = expected(made({}, 6), 0)
    side, times = 256, 8  # Of small images each pixel is a square.
    assert (found[gap : gap + side : times, gap : gap + side : times] == plain).all()
    assert (found[gap + 7 : gap + side : times, gap + 7 : gap + side : times] == plain).all()
    fast = expected(strategies.load(quick), 0)
    places = [
        left
        for left in range(gap + side, found.shape[1] - side)
        if (found[gap : gap + side : times, left : left + side : times] == fast).all()
        and (found[gap, left - 1] == 255).all()
    ]
    assert len(places) == 1
    assert (found[gap + side + gap :, : places[0]] < 128).any()  # A caption.
    assert (found[gap + side + gap :, places[0] :] < 128).any()


def test_timings_are_medians_of_alternating_runs_after_a_warm_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    runs: list[tuple[int, int]] = []
    image = Image.new("RGB", (8, 8))

    def once(
        pipe: Any, request: GenerationRequest, steps: int, seed: int
    ) -> tuple[Image.Image, float]:
        runs.append((steps, seed))
        return image, {25: 10.0, 4: 2.0}[steps] + len(runs)

    monkeypatch.setattr("accel.commands.generate.once", once)
    monkeypatch.setattr("accel.stats", lambda pipe: [])
    request = GenerationRequest(PROMPT, None, range(7, 9))
    base, fast = generate_both(zoo.load("tiny-sd"), request, made({}), 25, 3)
    assert runs[:2] == [(4, 7), (25, 7)]
    assert runs[2:8] == [(25, 7), (4, 7)] * 3
    assert runs[8:] == [(25, 7), (25, 8), (4, 7), (4, 8)]
    assert base.timings == [13, 15, 17]
    assert (base.latency, fast.latency) == (15, 8)
    assert (len(base.images), len(fast.images)) == (2, 2)


def test_steps_resample_and_presets_count_their_calls(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "x.png"
    flags = ["--strategy", "catome-five", "--resample-steps", 5, "--out", target]
    out = run(capsys, *flags)
    assert "resampled from 50 steps (51 calls) to 5 (6 calls)" in out
    assert "catome-five: PNDMScheduler, 5 steps" in out
    assert out.count("\n6 calls ran") == 1
    one = strategies.load("catome-five").resample(steps=5, calls=6)
    assert (pixels(target) == expected(one, 0)).all()


def test_a_rule_keeps_the_models_solver_and_steps(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "x.png"
    model = tmp_path / "short.yaml"
    text = (ROOT / "configs" / "models" / "tiny-sd.yaml").read_text()
    model.write_text(text.replace("steps: 25", "steps: 6"))
    out = run(capsys, "--model", model, "--strategy", "deepcache-n5-tome-0.5", "--out", target)
    assert "deepcache-n5-tome-0.5: DDIMScheduler, 6 steps" in out
    assert "6 calls ran: 2 in full, 4 at depth 1" in out


def test_a_folder_in_diffusers_format(
    tmp_path: Path, quick: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "x.png"
    run(capsys, "--model", zoo.folder("tiny-sd"), "--strategy", quick, "--out", target)
    own = {"guidance_scale": 7.5}  # diffusers' default, as a folder has no setting of ours.
    assert (pixels(target) == expected(strategies.load(quick), 0, **own)).all()


def test_what_ran_counts_tokens_and_reuse() -> None:
    records = [
        CallRecord(0, 0, 2, "cpu", tokens={"a": (100, 50), "b": (100, 100)}),
        CallRecord(1, 0, 2, "cpu", depth=1, reused=["x", "y"]),
    ]
    assert summarise_calls(records) == (
        "2 calls ran: 1 in full, 1 at depth 1; where tokens were taken out, 75% were kept; "
        "2 results of attentions and blocks were reused"
    )


def test_bad_input_is_one_clear_line_before_the_model_loads(
    tmp_path: Path,
    quick: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def never(*_: Any, **__: Any) -> None:
        raise AssertionError("a model was loaded")

    monkeypatch.setattr("accel.models.resolve.load_pipeline", never)
    out = ["--out", tmp_path / "x.png"]
    good = ["--strategy", quick]
    assert "not the name of an image file" in fails(capsys, *good, "--out", tmp_path / "x.txt")
    (tmp_path / "folder.png").mkdir()
    assert "is a folder" in fails(capsys, *good, "--out", tmp_path / "folder.png")
    inside = quick / "x.png"
    assert "cannot be written" in fails(capsys, *good, "--out", inside)
    assert "no such preset" in fails(capsys, "--strategy", "none", *out)
    assert "--repeats is for timings" in fails(capsys, *good, *out, "--repeats", 2)
    assert "device 'warp' cannot" in fails(capsys, *good, *out, "--device", "warp")
    assert "tiny-pixart, tiny-portraits, tiny-sd, " in fails(capsys, *good, *out, "--model", "sd99")
    assert "no model_index.json" in fails(capsys, *good, *out, "--model", tmp_path)
    assert not (tmp_path / "x.png").exists()


def test_the_hub_is_asked_only_on_request(
    tmp_path: Path,
    quick: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = []

    def loads(source: str, **settings: Any) -> None:
        asked.append((source, settings["local_files_only"]))
        raise OSError("not here. More words.")

    monkeypatch.setattr("accel.models.loading.DiffusionPipeline.from_pretrained", loads)
    flags = ["--strategy", quick, "--out", tmp_path / "x.png", "--model", "owner/name"]
    assert "not here; pass --download" in fails(capsys, *flags)
    assert f"there is no folder {tmp_path}/no;" in fails(capsys, *flags[:-1], f"{tmp_path}/no")
    assert "cannot be reached (not here" in fails(capsys, *flags, "--download")
    assert asked == [("owner/name", False)]  # What is not in the cache is not looked for twice.
    monkeypatch.setattr("accel.models.hub_errors.is_cached", lambda _: True)
    assert "not here; pass --download to fetch what is missing" in fails(capsys, *flags)
    assert asked[1:] == [("owner/name", True)]


def test_what_does_not_fit_the_model_is_one_clear_line(
    tmp_path: Path, quick: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(*flags: Any) -> str:
        code = main(["generate", "--prompt", PROMPT, *map(str, flags)])
        shown = capsys.readouterr().err
        assert code == 2
        assert len(shown.splitlines()) == 1
        assert not target.exists()
        return shown

    target = tmp_path / "x.png"
    deep = tmp_path / "deep.json"
    strategies.save(made({"deepcache": {"depth": 40}}), deep)
    assert "40" in refused("--strategy", deep, "--out", target)
    assert "divisible by 8" in refused("--strategy", quick, "--height", 33, "--out", target)
    wrong = tmp_path / "wrong.json"
    strategies.save(made({}).model_copy(update={"calls": 9}), wrong)
    assert "strategy is for 9" in refused("--strategy", wrong, "--out", target)
