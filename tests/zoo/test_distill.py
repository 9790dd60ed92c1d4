"""Distillation of a few-step LoRA: targets, training, and the file that every command takes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import zoo
from accel.models.resolve import open_model
from zoo import data, distill

SMALL = distill.DistillationPlan(steps=2, images=4, epochs=10, rank=4, each=2, batch=8, rate=6e-3)


def teacher() -> Any:
    return zoo.load("tiny-sd")


def test_targets_lead_from_state_to_state() -> None:
    pipe = teacher()
    captions = list(data.sample(2, 1).captions)
    states, prompt = distill.trajectories(pipe, captions, SMALL, 0)
    assert states.shape[:2] == (2, SMALL.steps + 1)
    assert len(prompt) == 2
    solver = distill.trailing(pipe.scheduler, SMALL.steps)
    wanted = distill.targets(solver, states)
    for number, at in enumerate(solver.timesteps):
        found = solver.step(wanted[:, number], at, states[:, number]).prev_sample
        assert torch.allclose(found, states[:, number + 1], atol=1e-3)


def test_a_short_training_brings_the_student_nearer_to_the_teacher(tmp_path: Path) -> None:
    pipe = teacher()
    losses = distill.train_student(pipe, SMALL, say=lambda _: None)
    assert losses[-1] < 0.8 * losses[0]
    distill.save_lora(pipe, "tiny-sd", SMALL, tmp_path)
    assert "2-step LoRA of tiny-sd" in (tmp_path / "README.md").read_text()
    student, _ = open_model("tiny-sd", "cpu", False, None, {"loras": [str(tmp_path)]})
    captions = list(data.sample(SMALL.images, SMALL.seed).captions)
    states, _ = distill.trajectories(teacher(), captions, SMALL, SMALL.seed)
    wanted = states[:, -1]

    def distance(one: Any) -> float:
        one.scheduler = distill.trailing(one.scheduler, SMALL.steps)
        latents = one(
            captions, num_inference_steps=SMALL.steps, guidance_scale=1.0, output_type="latent",
            latents=states[:, 0],
        ).images  # fmt: skip
        return float((latents - wanted).square().mean())

    assert distance(student) < 0.9 * distance(teacher())


def test_wrong_numbers_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="whole numbers from 1"):
        distill.main(["tiny-sd", "--out", str(tmp_path), "--rank", "0"])
