"""What a pipeline draws from: a prompt alone, an image to change, or an image with a masked part.

diffusers has a class for each of these on the same networks. A run that starts from an image makes
only the last calls of its schedule: `strength` says which share of it.
"""

from __future__ import annotations

from typing import Any

from accel.models.config import TEXT, Task
from strategies import StrategyError
from strategies.solver_settings import name_of

# diffusers is imported where it is used, so that a run is read without it.
_CONVERTERS: dict[Task, str] = {
    "image-to-image": "AutoPipelineForImage2Image",
    "inpainting": "AutoPipelineForInpainting",
}


def convert(pipe: Any, task: Task) -> Any:
    """A pipeline for a task on the networks of another pipeline.

    Args:
        pipe: a text-to-image pipeline.
        task: what to draw from.

    Returns:
        `pipe` itself for text-to-image, else a pipeline of the class that diffusers has for the
        task; parts are shared, not copied.

    Raises:
        StrategyError: diffusers has no such class for this kind of pipeline.
    """
    if task == TEXT:
        return pipe
    import diffusers

    try:
        made = getattr(diffusers, _CONVERTERS[task]).from_pipe(pipe)
    except ValueError:
        raise StrategyError(
            f"diffusers has no {task} pipeline for {type(pipe).__name__}; give another --model or "
            "leave --task out"
        ) from None
    made.set_progress_bar_config(disable=True)
    return made


def skipped(family: str, solver: str, steps: int, strength: float) -> int:
    """How many calls at the start of a schedule are not made by a run that starts from an image.

    Args:
        family: of the denoiser; pipelines of UNets cut the number of steps to a whole one, those
            of transformers the number of steps left out.
        solver: name of a scheduler class, or a solver in its short form.
        steps: of the whole schedule.
        strength: share of the schedule that is run, in (0, 1].
    """
    wanted = min(steps * strength, steps)
    left_out = steps - (int(wanted) if family == "unet" else wanted)
    if left_out <= 0:
        return 0
    import diffusers

    return int(max(left_out, 0)) * int(getattr(diffusers, name_of(solver)).order)
