"""Every command on a model as it lies on the disk: search, generate, evaluate."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import accel.cli
import evaluate.cli
import search.cli
from tests.support.models.opened_models import SEARCHED

METHODS = {"unet": "deepcache", "mmdit": "fora"}
SOLVERS = {"unet": "DDIM", "mmdit": "FlowMatchEulerDiscrete"}


TWO_IMAGES = ["--images", "2", "--metrics", "psnr", "--repeats", "0"]
TWO_IMAGES += ["--base-steps", "3", "--size", "32"]


def walk(
    folder: Path, model: Sequence[Any], family: str = "unet", given: Sequence[Any] = ()
) -> dict[str, Any]:
    """Search for a strategy, generate with it and evaluate it.

    Args:
        folder: folder to write in.
        model: flags that name the model.
        family: family of its denoiser.
        given: further flags of `search` and `evaluate`, such as the folder of input images.

    Returns:
        The provenance of the strategy that the search has found.
    """
    words, run = [str(one) for one in model], folder / "run"
    asked = [*SEARCHED, *words, *map(str, given), "--out", str(run), "--budget", "12evals"]
    for flag, value in (("--methods", METHODS[family]), ("--schedulers", SOLVERS[family])):
        asked[asked.index(flag) + 1] = value
    assert search.cli.main(asked) == 0
    (made, *_) = sorted((run / "strategies").glob("*.json"))
    drawn = ["generate", "--prompt", "a circle", "--height", "32", "--width", "32"]
    drawn += ["--device", "cpu", "--strategy", str(made), "--out", str(folder / "one.png")]
    inputs = dict(zip(given[::2], given[1::2], strict=True))
    if "--inputs" in inputs:
        image = sorted(Path(inputs["--inputs"]).iterdir())[0]
        drawn += ["--control-image", str(image)]
    assert accel.cli.main([*drawn, *words]) == 0
    assert (folder / "one.png").is_file()
    scored = [*TWO_IMAGES, "--device", "cpu", "--dtype", "float32", "--strategy", str(made)]
    scored += [*words, *map(str, given), f"--json={folder / 'scores.json'}"]
    assert evaluate.cli.main(scored) == 0
    rows = json.loads((folder / "scores.json").read_text())["rows"]
    assert len(rows) == 2
    found: dict[str, Any] = json.loads(made.read_text())["provenance"]
    return found
