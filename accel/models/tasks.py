"""Tasks: generation from a prompt alone, from an image to change, or from an image with a mask.

diffusers has a class for each task on the same networks. A run that starts from an image makes only
the last calls of its schedule; `strength` is their share.
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
        pipe: text-to-image pipeline.
        task: task of the new pipeline.

    Returns:
        `pipe` itself for text-to-image, else a pipeline of diffusers' class for the task; parts are
        shared, not copied.

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
    """Number of calls at the start of a schedule that a run from an image does not make.

    Args:
        family: family of the denoiser. Pipelines of UNets round the number of steps down, those of
            transformers the number of steps left out.
        solver: name of a scheduler class, or a solver in its short form.
        steps: number of steps of the whole schedule.
        strength: share of the schedule that is run, in (0, 1].
    """
    wanted = min(steps * strength, steps)
    left_out = steps - (int(wanted) if family == "unet" else wanted)
    if left_out <= 0:
        return 0
    import diffusers

    return int(max(left_out, 0)) * int(getattr(diffusers, name_of(solver)).order)
