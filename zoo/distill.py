"""Distil a few-step LoRA of a bundled model: `python -m zoo.distill tiny-sd --out FOLDER`.

The teacher is the model with guidance and many DDIM steps. It generates images of new captions, and
its states at the student's few steps are kept. The student is the same network with a LoRA, without
guidance. At each of its steps it learns the prediction with which one DDIM step leads from the
teacher's state to the teacher's next one. So one pass of the student replaces several guided passes
of the teacher. The folder gets the LoRA, for `--lora`, and a card.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import DDIMScheduler
from torch import Tensor
from torch.nn.functional import mse_loss

import zoo
from strategies import StrategyError
from strategies.commands.interrupts import run_interruptible
from zoo import data

MODELS = ("tiny-sd",)
LAYERS = (
    "to_q",
    "to_k",
    "to_v",
    "to_out.0",
    "proj_in",
    "proj_out",
    "conv1",
    "conv2",
    "conv_shortcut",
)
SEED = 29
CARD = """# {steps}-step LoRA of {model}

A low-rank adapter of rank {rank}, distilled from {model} with guidance {guidance:g} and {teacher}
DDIM steps. It saw {images} images of captions of the procedural data. This command made it:

    python -m zoo.distill {model} --steps {steps} --out FOLDER

Search strategies for it:

    python -m search --model {model} --lora FOLDER --few-steps hyper-sd:{steps}
"""


@dataclass(frozen=True)
class DistillationPlan:
    """Settings of a distillation.

    Attributes:
        steps: number of steps of the student.
        images: number of images that the teacher generates.
        epochs: number of times that each of them is seen.
        rank: rank of the LoRA.
        guidance: guidance scale of the teacher.
        each: steps of the teacher for one of the student.
        batch: images per training step.
        rate: learning rate at the start; it falls to zero.
        seed: random seed of captions, noise and LoRA.
    """

    steps: int = 4
    images: int = 1360
    epochs: int = 2
    rank: int = 16
    guidance: float = 5.0
    each: int = 6
    batch: int = 16
    rate: float = 1e-3
    seed: int = SEED


@torch.no_grad()
def trajectories(
    pipe: Any, captions: list[str], plan: DistillationPlan, seed: int
) -> tuple[Tensor, Tensor]:
    """States of the teacher at the student's steps, and the encoded captions.

    Args:
        pipe: the teacher.
        captions: one for each image.
        plan: settings of the distillation.
        seed: random seed of the noise.

    Returns:
        States `[images, steps + 1, ...]`, the last one clean, and encodings of the captions.
    """
    prompt, empty = pipe.encode_prompt(captions, pipe.device, 1, True)
    solver = trailing(pipe.scheduler, plan.steps * plan.each)
    generator = torch.Generator().manual_seed(seed)
    size = pipe.unet.config.sample_size
    shape = (len(captions), pipe.unet.config.in_channels, size, size)
    state = torch.randn(shape, generator=generator) * solver.init_noise_sigma
    found = [state]
    for number, at in enumerate(solver.timesteps, 1):
        both = pipe.unet(
            torch.cat([state, state]), at, encoder_hidden_states=torch.cat([empty, prompt])
        ).sample
        without, with_ = both.chunk(2)
        guided = without + plan.guidance * (with_ - without)
        state = solver.step(guided, at, state).prev_sample
        if number % plan.each == 0:
            found.append(state)
    return torch.stack(found, 1), prompt


def trailing(current: Any, steps: int) -> DDIMScheduler:
    """DDIM at trailing timesteps, for the noise schedule of a solver."""
    made = DDIMScheduler.from_config(
        current.config, timestep_spacing="trailing", set_alpha_to_one=True, clip_sample=False
    )
    made.set_timesteps(steps)
    return made


def targets(solver: DDIMScheduler, states: Tensor) -> Tensor:
    """The predictions of v that lead from each state to the next one by one DDIM step.

    Args:
        solver: DDIM with the student's steps.
        states: see `trajectories`.
    """
    times = solver.timesteps
    signal = solver.alphas_cumprod[times].sqrt()
    noise = (1 - solver.alphas_cumprod[times]).sqrt()
    shape = (1, len(times), 1, 1, 1)
    after_signal = torch.cat([signal[1:], torch.ones(1)]).view(shape)
    after_noise = torch.cat([noise[1:], torch.zeros(1)]).view(shape)
    signal, noise = signal.view(shape), noise.view(shape)
    here, there = states[:, :-1], states[:, 1:]
    clean = (there * noise - here * after_noise) / (after_signal * noise - signal * after_noise)
    wanted: Tensor = signal * (here - signal * clean) / noise - noise * clean
    return wanted


def train_student(pipe: Any, plan: DistillationPlan, say: Any = print) -> list[float]:
    """Add a LoRA to a pipeline's UNet and train it.

    Args:
        pipe: the teacher, which becomes the student.
        plan: settings of the distillation.
        say: callback with lines for people.

    Returns:
        Mean loss of each epoch.
    """
    from peft import LoraConfig

    if pipe.scheduler.config.prediction_type != "v_prediction":
        raise StrategyError("the model predicts no v; the distillation is for models that do")
    labels = data.sample(plan.images, plan.seed)
    captions = list(labels.captions)
    began, rows = time.monotonic(), list[tuple[Tensor, Tensor]]()
    for start in range(0, plan.images, plan.batch):
        some = captions[start : start + plan.batch]
        rows.append(trajectories(pipe, some, plan, plan.seed + start))
    states, prompts = torch.cat([row[0] for row in rows]), torch.cat([row[1] for row in rows])
    say(f"{plan.images} images of the teacher in {time.monotonic() - began:.0f} s")
    solver = trailing(pipe.scheduler, plan.steps)
    wanted = targets(solver, states)
    torch.manual_seed(plan.seed)
    unet = pipe.unet
    unet.requires_grad_(False)
    unet.add_adapter(LoraConfig(r=plan.rank, lora_alpha=plan.rank, target_modules=list(LAYERS)))
    weights = [weight for weight in unet.parameters() if weight.requires_grad]
    total = plan.epochs * plan.steps * -(-plan.images // plan.batch)
    optimizer = torch.optim.AdamW(weights, lr=plan.rate)
    falling = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, total)
    losses = []
    for epoch in range(plan.epochs):
        order = torch.randperm(plan.images)
        epoch_losses = []
        for chosen in order.split(plan.batch):
            for step, at in enumerate(solver.timesteps):
                guess = unet(states[chosen, step], at, encoder_hidden_states=prompts[chosen]).sample
                loss = mse_loss(guess, wanted[chosen, step])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                falling.step()
                epoch_losses.append(float(loss.detach()))
        losses.append(sum(epoch_losses) / len(epoch_losses))
        say(f"epoch {epoch + 1} of {plan.epochs}: loss {losses[-1]:.4f}")
    unet.requires_grad_(True)
    return losses


def save_lora(pipe: Any, model: str, plan: DistillationPlan, folder: Path) -> None:
    """Write the LoRA of a trained student and its card."""
    from peft import get_peft_model_state_dict

    pipe.save_lora_weights(
        folder,
        unet_lora_layers=get_peft_model_state_dict(pipe.unet),
        unet_lora_adapter_metadata=pipe.unet.peft_config["default"].to_dict(),
    )
    text = CARD.format(
        model=model, steps=plan.steps, rank=plan.rank, guidance=plan.guidance, images=plan.images,
        teacher=plan.steps * plan.each,
    )  # fmt: skip
    (folder / "README.md").write_text(text, encoding="utf-8")


def parser() -> argparse.ArgumentParser:
    """Parser of the command line."""
    plan = DistillationPlan()
    made = argparse.ArgumentParser(prog="python -m zoo.distill", description=__doc__)
    made.add_argument("model", choices=MODELS)
    made.add_argument("--out", type=Path, required=True, help="folder of the LoRA")
    made.add_argument("--steps", type=int, default=plan.steps, help="steps of the student")
    made.add_argument(
        "--images", type=int, default=plan.images, help="images that the teacher generates"
    )
    made.add_argument("--epochs", type=int, default=plan.epochs, help="times each image is seen")
    made.add_argument("--rank", type=int, default=plan.rank, help="rank of the LoRA")
    return made


def main(arguments: list[str] | None = None) -> None:
    """Run the command line."""
    flags = parser().parse_args(arguments)
    plan = DistillationPlan(flags.steps, flags.images, flags.epochs, flags.rank)
    if min(plan.steps, plan.images, plan.epochs, plan.rank) < 1:
        sys.exit("error: --steps, --images, --epochs and --rank are whole numbers from 1")
    pipe = zoo.load(flags.model)
    train_student(pipe, plan)
    flags.out.mkdir(parents=True, exist_ok=True)
    save_lora(pipe, flags.model, plan, flags.out)
    print(f"written to {flags.out}")


if __name__ == "__main__":
    sys.exit(run_interruptible(main))
