"""The flags that say which model is searched in which setting, and the loaded model they mean."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from accel.models import DTYPES, SOURCE_HELP, ModelConfig, default_device, from_source, read_model
from evaluate import checks, input_images, models, references, tasks
from evaluate.evaluator import is_bundled, read_prompts
from evaluate.prompts import IMAGENET
from search import config as configuration
from search.config import SearchConfig
from search.images.unaccelerated import reference
from search.objectives.metric_set import find_weights
from strategies import StrategyError

# Flags that change the model's config, and the settings they change.
CHANGES = {
    "base_scheduler": ("scheduler",),
    "base_steps": ("steps",),
    "guidance": ("guidance",),
    "size": ("height", "width"),
    "dtype": ("dtype",),
    "source": ("source",),
    "batch": ("batch",),
    "prompts": ("search_prompts",),
    "heldout_prompts": ("heldout_prompts",),
    "task": ("task",),
    "inputs": ("inputs",),
    "masks": ("masks",),
    "strength": ("strength",),
}


def add(made: argparse.ArgumentParser) -> None:
    """Add them to a parser."""
    against = made.add_argument_group("what it is held against")
    for flag, which in (
        ("--prompts", "of the search"),
        ("--heldout-prompts", "of the final score, by default the other end of --prompts"),
    ):
        against.add_argument(
            flag,
            help=f"{which}: imagenet, zoo:NAME, a .txt, .tsv (PartiPrompts), .csv, .json (COCO) or "
            ".jsonl file",
        )
    against.add_argument(
        "--reference",
        help="a folder of images, a .npz file of Inception statistics, or self: the unaccelerated "
        "model's own images at other seeds (default: self, of the bundled models their own)",
    )
    against.add_argument("--reference-images", type=int, help="drawn for self (default: --images)")
    against.add_argument(
        "--reference-per-class",
        type=int,
        metavar="N",
        help="of each folder within the reference only the first N images, by name",
    )
    tasks.add(made.add_argument_group("what is drawn from"))
    how = made.add_argument_group("the unaccelerated model, where it differs from its own setting")
    how.add_argument("--base-scheduler", metavar="NAME", help="its solver")
    how.add_argument("--base-steps", type=int, metavar="N", help="its number of steps")
    how.add_argument("--guidance", type=float)
    how.add_argument("--size", type=int, help="of the images' sides, in pixels")
    how.add_argument("--dtype", choices=list(DTYPES))
    how.add_argument("--batch", type=int, help="images drawn at once")
    how.add_argument("--source", metavar="FOLDER", help=SOURCE_HELP)
    how.add_argument("--download", action="store_true", help="fetch weights that are missing")


def load(flags: argparse.Namespace) -> tuple[Any, ModelConfig]:
    """The loaded pipeline on the CPU, and its config as workers load it.

    Raises:
        StrategyError: there is no such model, it cannot be loaded, or a setting is wrong.
    """
    name = flags.model or "tiny-sd"
    changes = {key: getattr(flags, name) for name, keys in CHANGES.items() for key in keys}
    changes.pop("source")  # Not a setting, but where the weights are.
    changes["search_prompts"] = _place(flags.prompts)
    changes |= tasks.placed(flags)
    # One list for both is read from its two ends.
    changes["heldout_prompts"] = _place(flags.heldout_prompts or flags.prompts)
    if changes["scheduler"] and not changes["scheduler"].endswith("Scheduler"):
        changes["scheduler"] += "Scheduler"
    if not models.is_config(name) and default_device() == "cuda":
        changes["dtype"] = changes["dtype"] or "float16"
    return models.find(name, "cpu", flags.download, changes=changes, source=flags.source)


def look(flags: argparse.Namespace, settings: dict[str, Any]) -> None:
    """See that what images are scored by is there, before a model is loaded.

    Raises:
        StrategyError: an unknown model or figure, or weights that are missing.
    """
    name = flags.model or "tiny-sd"
    bundled = models.is_config(name) and is_bundled(from_source(read_model(name), flags.source))
    asked = configuration.named(settings, bundled)
    metrics = configuration.figures_of(asked, bundled).metrics
    checks.together(
        lambda: checks.model(name, flags.source, flags.download),
        lambda: find_weights(metrics, flags.download),
    )


def given(flags: argparse.Namespace) -> dict[str, Any]:
    """The settings of the search among these flags."""
    reference = flags.reference
    return {
        "reference": reference if reference == "self" else _place(reference),
        "reference_images": flags.reference_images,
        "reference_per_class": flags.reference_per_class,
    }


def changed(flags: argparse.Namespace) -> list[str]:
    """Which of the flags that a resumed run cannot take are given."""
    return [name for name in CHANGES if getattr(flags, name) is not None]


def check(config: SearchConfig, download: bool) -> None:
    """See that all that a search needs is there, before anything long.

    Raises:
        StrategyError: too few prompts, weights that are missing, or a reference that is not there.
    """
    model = config.model
    input_images.check(model, config.images, config.heldout_images)
    lists = read_prompts(model)
    lists["search"].first(config.images)
    lists["heldout"].first(config.heldout_images)
    if config.reference == "self" and config.reference_images is not None:
        for split in ("search", "heldout"):
            lists[split].first(config.reference_images)
    both, there = config.images + config.heldout_images, len(lists["search"].texts)
    if model.search_prompts == model.heldout_prompts and both > there:
        raise StrategyError(
            f"{config.images} images of the search and {config.heldout_images} held-out ones need "
            f"{both} prompts; {model.search_prompts} has {there}. Ask for fewer, or give another "
            "list with --heldout-prompts"
        )
    find_weights(config.figures.metrics, download)
    source = config.reference
    if source is not None and source != "self":
        references.check(source, config.reference_per_class)
    if source is None or (source != "self" and not Path(source).is_dir()):
        reference(config)


def _place(source: str | None) -> str | None:
    """A file by its full path, as a worker in another folder needs it; a name as it is."""
    if source is None or source == IMAGENET or source.startswith("zoo:"):
        return source
    return str(Path(source).resolve())
