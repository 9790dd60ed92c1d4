"""Input images of image-to-image, inpainting and ControlNets, one for each prompt.

The images of a folder are sorted by name. Held-out prompts take them from the start, those of the
search from the end, so that the two have no image in common as long as there are enough.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from PIL import Image

from accel.models import calls
from accel.models.config import TEXT, ModelConfig
from evaluate import fingerprint
from evaluate.images import image_files
from evaluate.images.prompts import Prompts
from strategies import StrategyError

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")


def image_paths(folder: str, flag: str) -> list[Path]:
    """Images of a folder, sorted by name.

    Args:
        folder: folder to read, without its sub-folders.
        flag: flag that gave it, for errors.

    Raises:
        StrategyError: it is no folder, or holds no image.
    """
    if not folder:
        raise StrategyError(f"--controlnet needs {flag} FOLDER, one image for each prompt")
    place = Path(folder)
    try:
        found = sorted(one for one in place.iterdir() if one.suffix.lower() in SUFFIXES)
    except OSError as error:
        raise StrategyError(f"{flag} {folder}: cannot be read ({error.strerror})") from None
    if not found:
        raise StrategyError(f"{flag} {folder}: holds no image ({', '.join(SUFFIXES)})")
    return found


def add(prompts: Prompts, config: ModelConfig, from_end: bool) -> Prompts:
    """Give each prompt its image and its mask; prompts beyond the last image are left out.

    Args:
        prompts: prompts of a split; those that have images already stay as they are.
        config: settings that name the folders.
        from_end: whether the first prompt takes the last image.

    Raises:
        StrategyError: a folder cannot be read, or an image has no mask.
    """
    if not config.takes_images or prompts.inputs:
        return prompts
    found = image_paths(config.inputs, "--inputs")
    found = found[::-1] if from_end else found
    found = found[: len(prompts.texts)]
    masks = [_mask(one, config.masks) for one in found] if config.masks else []
    return replace(
        prompts.first(len(found)),
        inputs=tuple(str(one.absolute()) for one in found),
        masks=tuple(str(one.absolute()) for one in masks),
    )


def _mask(image: Path, folder: str) -> Path:
    """Mask of an image: the file of the same name, with any suffix."""
    for one in (Path(folder) / image.name, *sorted(Path(folder).glob(f"{_plain(image.stem)}.*"))):
        if one.is_file() and one.suffix.lower() in SUFFIXES:
            return one
    raise StrategyError(
        f"--masks {folder}: no mask for {image.name}; give one for each image of --inputs, under "
        "the image's name"
    )


def _plain(name: str) -> str:
    """Pattern that matches a file's name and nothing else."""
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in name)


def check_input_images(config: ModelConfig, search: int, heldout: int) -> None:
    """Check that there are enough images and that each can be read.

    Args:
        config: settings of the model.
        search: number of prompts that a search uses; 0 for scoring alone.
        heldout: number of held-out prompts that are used.

    Raises:
        StrategyError: there are fewer, or one cannot be read.
    """
    if not config.takes_images:
        return
    found = image_paths(config.inputs, "--inputs")
    if len(found) < search + heldout:
        what = f"{search} of the search and {heldout} held-out" if search else f"{heldout} held-out"
        raise StrategyError(
            f"--inputs {config.inputs}: holds {len(found)} images, but {what} prompts need one "
            "each; give more images or ask for fewer prompts"
        )
    for one in {*found[:heldout], *found[len(found) - search :]}:
        image_files.check_image_file(one)
        if config.masks:
            image_files.check_image_file(_mask(one, config.masks))


def marks(prompts: Prompts) -> tuple[str, ...]:
    """Digest of the image and the mask of each prompt, by content.

    Returns:
        Empty for text-to-image.

    Raises:
        StrategyError: a file cannot be read.
    """
    columns = [_digests(column) for column in (prompts.inputs, prompts.masks) if column]
    return tuple(" ".join(row) for row in zip(*columns, strict=True))


def _digests(paths: Sequence[str]) -> list[str]:
    places = [Path(one) for one in paths]
    found: dict[Path, str] = {}
    for folder in {one.parent for one in places}:
        mine = [one for one in places if one.parent == folder]
        found |= {
            folder / k: v for k, v in fingerprint.digests(folder, dict.fromkeys(mine)).items()
        }
    return [found[one] for one in places]


def arguments(pipe: Any, config: ModelConfig, prompts: Prompts) -> dict[str, Any]:
    """Arguments of a pipeline's call besides text: images of the config's size, and the strength.

    Args:
        pipe: pipeline that is called.
        config: settings of the model.
        prompts: prompts with their images.

    Raises:
        StrategyError: a file cannot be read.
    """
    if not prompts.inputs:
        return {}
    size = (config.width, config.height)
    images = [_sized(one, size) for one in prompts.inputs]
    if config.task == TEXT:
        return {calls.control_word(pipe): images}
    given: dict[str, Any] = {"image": images, "strength": config.strength}
    if prompts.masks:
        given["mask_image"] = [_sized(one, size).convert("L") for one in prompts.masks]
    return given


def _sized(path: str, size: tuple[int, int]) -> Image.Image:
    """An image stretched to a size in pixels, width first."""
    image = Image.fromarray(image_files.read_image(Path(path)))
    return image if image.size == size else image.resize(size, Image.Resampling.LANCZOS)
