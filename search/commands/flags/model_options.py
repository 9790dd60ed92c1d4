"""Flags of the model and its setting."""

from __future__ import annotations

import argparse

from accel.models import few_steps
from accel.models.config import PRECISIONS, SOURCE_HELP
from evaluate.commands import task_flags

# Flags that change the model's config, and the settings they change.
CHANGES = {
    "few_steps": (),
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
    "frames": ("frames",),
    "scored_frames": ("scored_frames",),
}


def add(made: argparse.ArgumentParser) -> None:
    """Add the flags to a parser."""
    against = made.add_argument_group("prompts and reference")
    for flag, which in (
        ("--prompts", "prompts of the search"),
        ("--heldout-prompts", "prompts of the final scoring (default: the end of --prompts)"),
    ):
        against.add_argument(
            flag,
            help=f"{which}: imagenet, zoo:NAME, a .txt, .tsv (PartiPrompts), .csv, .json (COCO) or "
            ".jsonl file",
        )
    against.add_argument(
        "--reference",
        help="images to compare with: a folder of images, a .npz file of Inception statistics, "
        "or self: the unaccelerated model's own images at other seeds (default: self; the "
        "bundled models have real images)",
    )
    against.add_argument(
        "--reference-images",
        type=int,
        help="number of images of the reference self (default: --images)",
    )
    against.add_argument(
        "--reference-per-class",
        type=int,
        metavar="N",
        help="take only the first N images, by name, of each folder within the reference",
    )
    task_flags.add(made.add_argument_group("task"))
    how = made.add_argument_group("changes of the unaccelerated model's setting")
    how.add_argument("--few-steps", metavar="KIND[:STEPS]", help=few_steps.help_text())
    how.add_argument("--base-scheduler", metavar="NAME", help="solver of the unaccelerated model")
    how.add_argument(
        "--base-steps", type=int, metavar="N", help="number of steps of the unaccelerated model"
    )
    how.add_argument("--guidance", type=float, help="guidance scale")
    how.add_argument("--size", type=int, help="side of the images in pixels")
    how.add_argument("--dtype", choices=PRECISIONS, help="precision of the model")
    how.add_argument("--batch", type=int, help="images per batch")
    how.add_argument("--source", metavar="FOLDER", help=SOURCE_HELP)
    how.add_argument("--download", action="store_true", help="fetch missing weights")
