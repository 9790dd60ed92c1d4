"""Quality and speed of strategies on another solver, number of steps, task, size and model.

    python -m benchmarks run transfer

The strategies of `benchmarks/found/` were found on tiny-sd beside 25 DDIM steps, the presets are
published for Stable Diffusion 1.5 at 50 PNDM steps. Writes after every setting, and goes on with
what is missing. Baselines are as many steps as do as much work, which holds on a busy machine, too.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import torch
from diffusers import StableDiffusionImg2ImgPipeline

import zoo
from benchmarks.entry import FOLDER, RESULTS
from evaluate import transfer
from evaluate.commands import preparation
from evaluate.commands.parsers import transfer_parser
from strategies import StrategyError, load
from strategies import transfer as moving

FOUND = {name: f"benchmarks/found/tiny-sd-{name}.json" for name in ("mild", "knee")}
PRESETS = {name: name for name in ("dato-b1", "deepcache-n3")}
# Tasks by name: the model, its flags, and whether the strategies are moved or drawn as found.
SETTINGS: dict[str, tuple[str, list[str], bool]] = {
    "as found, beside 25 DDIM": ("tiny-sd", [], False),
    "20 DPM++": (
        "tiny-sd",
        ["--base-steps", "20", "--base-scheduler", "DPMSolverMultistepScheduler"],
        True,
    ),
    "25 PNDM": ("tiny-sd", ["--base-scheduler", "PNDMScheduler"], True),
    "tiny-pixart, 25 DDIM": ("tiny-pixart", [], True),
    "image to image, 25 DDIM": ("tiny-sd", [], True),
    "50 PNDM": ("tiny-sd", ["--base-steps", "50", "--base-scheduler", "PNDMScheduler"], True),
    "25 DDIM": ("tiny-sd", [], True),
    "48 x 48, 25 DDIM": ("tiny-sd", ["--size", "48"], True),
}
STRENGTH = 0.6


class ImageToImage(StableDiffusionImg2ImgPipeline):  # type: ignore[misc]
    """Image-to-image called as text-to-image is: each prompt's image to begin with is known."""

    @torch.no_grad()
    def __call__(self, prompt: list[str], height: int = 32, width: int = 32, **given: Any) -> Any:
        images = torch.cat([self.known[text] for text in prompt])
        return super().__call__(prompt, image=images, strength=STRENGTH, **given)


def image_to_image(pipe: Any, texts: list[str]) -> ImageToImage:
    """The pipeline's parts for image-to-image, from unaccelerated images of other noise."""
    made = ImageToImage(**pipe.components, requires_safety_checker=False)
    made.set_progress_bar_config(disable=True)
    made.known = {}
    for index, text in enumerate(dict.fromkeys(texts)):
        noise = torch.Generator().manual_seed(10_000 + index)
        drawn = pipe(text, generator=noise, output_type="pt", num_inference_steps=25,
                     **zoo.MODELS["tiny-sd"])  # fmt: skip
        made.known[text] = drawn.images
    return made


def measure(name: str, images: int, repeats: int) -> dict[str, Any]:
    """One setting: the comparison, and by name why a strategy does not transfer."""
    model, flags, moves = SETTINGS[name]
    given = FOUND | (PRESETS if moves else {})
    words = [*given.values(), "--to", model, *flags, "--images", str(images)]
    words += ["--repeats", str(repeats), "--metrics", "fd,psnr", "--device", "cpu"]
    parsed = transfer_parser().parse_args(words)
    parsed.strategy = [name, *parsed.strategy]  # Images of one setting are kept apart.
    job = preparation.prepare(parsed)
    if name.startswith("image to image"):
        texts = list(job.prompts.first(images).texts)
        job.evaluator.pipe = image_to_image(job.evaluator.pipe, texts)
    where, moved, refused = transfer.target_of(job.evaluator), [], {}
    for title, source in given.items():
        one = load(FOLDER.parent / source if source.endswith(".json") else source)
        try:
            there, notes = moving.transfer(one, where) if moves else (one, [])
        except StrategyError as error:
            refused[title] = str(error)
        else:
            moved.append(transfer.TransferredStrategy(title, one, there, notes))
    found = transfer.measure_transfer(job, moved, lambda *_: None, "macs")
    preparation.delete_images(job, parsed)
    for row in found["rows"]:
        row.pop("kinds", None)
        row.get("source", {}).pop("scores", None)
    return found | {"refused": refused}


TITLES = (
    *("setting", "strategy", "work saved", "speedup", "PSNR", "FD", "baseline", "its work saved"),
    *("gain in PSNR", "gain in FD"),
)


def markdown(data: dict[str, Any]) -> str:
    """The moved strategies beside their baselines, one row each."""
    lines = [TITLES, ["---"] * len(TITLES)]
    for setting, found in data["settings"].items():
        rows = {row["name"]: row for row in found["rows"]}
        whole = found["rows"][0]["macs"]
        for row in rows.values():
            if "baseline" not in row:
                continue
            gains = [row["baseline_changes"][key] for key in ("psnr", "fd_base")]
            cells = [f"{gain:+.1f} ({low:+.1f} to {high:+.1f})" for gain, low, high in gains]
            work = [f"{whole / one['macs']:.2f}x" for one in (row, rows[row["baseline"]])]
            speed = f"{row['speedup']:.2f}x"
            own = [f"{row['psnr']:.1f}", f"{row['fd_base']:.0f}"]
            lines.append(
                [setting, row["name"], work[0], speed, *own, row["baseline"], work[1], *cells]
            )
        for name, reason in found["refused"].items():
            lines.append([setting, name, reason, *[""] * (len(TITLES) - 3)])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main() -> None:
    """Measure what is missing and write it."""
    flags = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    flags.add_argument("--images", type=int, default=12)
    flags.add_argument("--repeats", type=int, default=1)
    flags.add_argument("--out", type=Path, default=RESULTS / "transfer-tiny-sd.json")
    given = flags.parse_args()
    data: dict[str, Any] = {"images": given.images, "repeats": given.repeats, "settings": {}}
    if given.out.exists():
        known = json.loads(given.out.read_text())
        if (known["images"], known["repeats"]) == (given.images, given.repeats):
            data = known
    for name in SETTINGS:
        if name in data["settings"]:
            continue
        data["settings"][name] = measure(name, given.images, given.repeats)
        given.out.write_text(json.dumps(data, indent=1) + "\n")
        print(name, "done", flush=True)
    print(markdown(data))


if __name__ == "__main__":
    main()
