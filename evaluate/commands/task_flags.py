"""Flags of the task: generation from a prompt alone, or from an image as well."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from accel.models.config import TASKS

Group = argparse._ArgumentGroup  # The type of a group has no public name.


def add(group: Group) -> None:
    """Add the flags to a parser's group."""
    group.add_argument(
        "--task", choices=TASKS, help="task (default: text-to-image, or the config's)"
    )
    group.add_argument(
        "--inputs",
        metavar="FOLDER",
        help="input images, or those that steer --controlnet, one for each prompt, sorted by name",
    )
    group.add_argument(
        "--masks",
        metavar="FOLDER",
        help="for inpainting, one mask for each image, under the image's name; white areas are "
        "replaced",
    )
    group.add_argument(
        "--strength",
        type=float,
        help="for image-to-image, share of the schedule that runs, in (0, 1] (default: 0.6)",
    )
    group.add_argument(
        "--frames", type=int, metavar="N", help="frames of each video (default: the pipeline's)"
    )
    group.add_argument(
        "--scored-frames",
        metavar="CHOICE",
        help="frames of a video that are scored: all, a number of frames from the first to the "
        "last, or frame numbers such as 0,1,2 (default: 5)",
    )


def task_settings(flags: argparse.Namespace) -> dict[str, Any]:
    """Changes of a model's config by these flags; folders become absolute paths."""
    folders = {name: getattr(flags, name) for name in ("inputs", "masks")}
    return {
        "task": flags.task,
        "strength": flags.strength,
        "frames": flags.frames,
        "scored_frames": flags.scored_frames,
        **{name: one and str(Path(one).resolve()) for name, one in folders.items()},
    }
