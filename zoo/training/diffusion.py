"""Stage of the denoiser and its text encoder, data-parallel over a few one-thread ranks or one GPU.

It trains v-prediction with a learning rate that stays constant and then falls over the last images,
so that training can resume from a checkpoint of the constant part for any length. Checkpoints are
safetensors: weights, their moving average and the optimizer's moments.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
import torch.distributed as dist
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from strategies import StrategyError
from zoo import tiny_sd
from zoo.parts import Parts
from zoo.training import files
from zoo.training.attention import FewerKeys, Float32Attention


@dataclass(frozen=True)
class Plan:
    """Length and settings of a training.

    Attributes:
        images: number of images seen at the end.
        start: number of these that an earlier stage has seen, from whose weights this one starts.
        decay: number of last images over which the learning rate falls to 3 % of its peak.
        batch: images per step, divided among the ranks.
        ranks: number of processes; each uses one thread on a CPU.
        save_every: images between checkpoints and between looks at the model.
        save_minutes: minutes between checkpoints on machines that are slower than that.
        pool: side of the squares of latents that are pooled to one, see `pooled`.
        keys: side of the squares of tokens of which attention sees one, see `FewerKeys`.
        spread: standard deviation of the latents by which the loss is weighted.
        cast_on_cpu: whether a CPU that computes in bfloat16 does so; narrow networks gain nothing.
    """

    images: int
    decay: int
    start: int = 0
    batch: int = 32
    ranks: int = 2
    save_every: int = 16_000
    save_minutes: float = 5.0
    pool: int = 1
    keys: int = 1
    spread: float = 1.0
    cast_on_cpu: bool = True
    learning_rate: float = 1.2e-3
    seed: int = 0

    def rate(self, seen: int) -> float:
        """Learning rate after `seen` images: a short warm-up, constant, then a cosine."""
        done = min(1.0, max(0.0, (seen - self.images + self.decay) / max(self.decay, 1)))
        fall = 0.03 + 0.97 * (1 + math.cos(math.pi * done)) / 2
        return self.learning_rate * min(1.0, (seen - self.start + 1) / 3000) * fall

    def keep(self, seen: int) -> float:
        """The share of the moving average that an update keeps; it grows from 0.1 to 0.998."""
        updates = (seen - self.start) / (10 * self.batch)
        return min(0.998, (1 + updates) / (10 + updates))


@dataclass
class Trainee:
    """Trained parts, their moving average and their optimizer."""

    parts: Parts
    average: dict[str, Tensor]
    optimizer: torch.optim.AdamW
    seen: int = 0

    def named(self) -> list[tuple[str, nn.Parameter]]:
        """Every trained parameter under the name of its part."""
        return named(self.parts)

    def save(self, path: Path) -> None:
        """Write everything needed to resume; the file appears when it is complete."""
        tensors: dict[str, Tensor] = {}
        for name, weight in self.named():
            state = self.optimizer.state[weight]
            tensors |= {
                f"weight/{name}": weight.detach(),
                f"average/{name}": self.average[name],
                f"m/{name}": state["exp_avg"],
                f"v/{name}": state["exp_avg_sq"],
                f"step/{name}": state["step"].reshape(1),
            }
        whole = {name: tensor.contiguous() for name, tensor in tensors.items()}
        metadata = {"seen": str(self.seen)}
        files.make(path, lambda part: save_file(whole, part, metadata=metadata))

    def restore(self, path: Path) -> None:
        """Resume from a file that `save` or `write_snapshot` wrote."""
        with safe_open(path, "pt") as file, torch.no_grad():
            self.seen = int(file.metadata()["seen"])
            stored = set(file.keys())
            for name, weight in self.named():
                self.average[name].copy_(file.get_tensor(f"average/{name}"))
                if f"weight/{name}" not in stored:
                    weight.copy_(self.average[name])
                    continue
                weight.copy_(file.get_tensor(f"weight/{name}"))
                self.optimizer.state[weight] = {
                    "exp_avg": file.get_tensor(f"m/{name}").to(weight.device),
                    "exp_avg_sq": file.get_tensor(f"v/{name}").to(weight.device),
                    "step": file.get_tensor(f"step/{name}")[0],
                }


def named(parts: Parts) -> list[tuple[str, nn.Parameter]]:
    """Every parameter that diffusion training changes, under the name of its part."""
    return [(f"{p}.{n}", w) for p, m in parts.learning().items() for n, w in m.named_parameters()]


def take_average(parts: Parts, folder: Path) -> int:
    """Put the averaged weights of the last complete checkpoint into `parts`; returns its images.

    Raises:
        StrategyError: there is none.
    """
    path = files.newest(folder)
    if path is None:
        raise StrategyError(f"{folder} holds no checkpoint; `python -m zoo.train` makes one")
    with safe_open(path, "pt") as file, torch.no_grad():
        for name, weight in named(parts):
            weight.copy_(file.get_tensor(f"average/{name}"))
        return int(file.metadata()["seen"])


def casts(plan: Plan, device: str) -> bool:
    """Whether to train in bfloat16: only if the processor computes in it.

    Other processors emulate it; tiny-sd then trains at a fifth of the speed of float32.
    """
    if device == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return plan.cast_on_cpu and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def pooled(latents: Tensor, side: int) -> Tensor:
    """Sums over squares of `side`, divided by `side`: unit noise stays unit noise."""
    return nn.functional.avg_pool2d(latents, side) * side if side > 1 else latents


def prepare(parts: Parts, plan: Plan, device: str) -> Trainee:
    """Parts in training mode with a fresh optimizer and average."""
    for module in parts.learning().values():
        module.to(device).train()
    trainee = Trainee(parts, {}, torch.optim.AdamW([torch.zeros(1)]), plan.start)
    weights = [weight for _, weight in trainee.named()]
    trainee.optimizer = torch.optim.AdamW(
        weights, lr=plan.learning_rate, betas=(0.9, 0.99), weight_decay=1e-2
    )
    trainee.average = {name: weight.detach().clone() for name, weight in trainee.named()}
    return trainee


def draw_times(count: int, generator: torch.Generator) -> Tensor:
    """Training times: uniform, with bumps where shapes (480) and places (850) are decided."""
    grid = torch.arange(1000, dtype=torch.float64)
    density = 0.3 + torch.exp(-(((grid - 480) / 170) ** 2) / 2)
    density += torch.exp(-(((grid - 850) / 120) ** 2) / 2)
    return torch.multinomial(density, count, replacement=True, generator=generator)


def run_rank(
    rank: int,
    parts: Parts,
    plan: Plan,
    latents: Tensor,
    tokens: Tensor,
    folder: Path,
    look: Callable[[Trainee], None],
) -> None:
    """Train one rank to the end of the plan.

    Args:
        rank: number of the rank; 0 saves and looks.
        parts: parts to train.
        plan: length and settings of the training.
        latents: float16 `[n, 4, h, w]`, scaled.
        tokens: int64 `[n + 1, length]`; the last row is the empty caption.
        folder: folder of `last.safetensors`, the checkpoint, `before.safetensors`, the one before,
            and `stable.safetensors`, the last one at the constant learning rate.
        look: function called on rank 0 after every `save_every` images and at the end.
    """
    device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cpu":
        torch.set_num_threads(1)
    trainee = prepare(parts, plan, device)
    found = files.newest(folder)
    if found:
        trainee.restore(found)
        if not trainee.optimizer.state:  # A snapshot: begin with a warm-up and a fresh average.
            plan = replace(plan, start=trainee.seen)
    latents = torch.cat([pooled(part, plan.pool) for part in latents.split(1024)])
    table = tiny_sd.scheduler().alphas_cumprod
    began, started_at = time.monotonic(), trainee.seen
    busy, saved = time.process_time(), began
    while trainee.seen < plan.images:
        generator = torch.Generator().manual_seed(plan.seed + trainee.seen * 64 + rank)
        loss = _step(trainee, plan, latents, tokens, table, generator, device)
        ended = trainee.seen >= plan.images
        due = ended or trainee.seen % plan.save_every < plan.batch
        late = time.monotonic() - saved >= 60 * plan.save_minutes
        if rank != 0 or not (due or late):
            continue
        _save(trainee, plan, folder)
        done, saved = trainee.seen - started_at, time.monotonic()
        print(
            f"diffusion {trainee.seen} images, {done / (saved - began):.1f}/s, "
            f"{done / (time.process_time() - busy):.1f} per processor second, loss {loss:.4f}",
            flush=True,
        )
        if due:
            look(trainee)


def _save(trainee: Trainee, plan: Plan, folder: Path) -> None:
    last = folder / files.LAST
    if last == files.newest(folder):
        last.replace(folder / files.BEFORE)
    trainee.save(last)
    if trainee.seen <= plan.images - plan.decay:
        trainee.save(folder / "stable.safetensors")


def _step(
    trainee: Trainee,
    plan: Plan,
    latents: Tensor,
    tokens: Tensor,
    table: Tensor,
    generator: torch.Generator,
    device: str,
) -> float:
    count = plan.batch // plan.ranks
    rows = torch.randint(len(latents), (count,), generator=generator)
    clean = latents[rows].float()
    noise = torch.randn(clean.shape, generator=generator)
    times = draw_times(count, generator)
    dropped = torch.rand(count, generator=generator) < 0.1
    words = torch.where(dropped[:, None], tokens[-1], tokens[rows]).to(device)
    signal = table[times].sqrt().view(-1, 1, 1, 1)
    spread = (1 - table[times]).sqrt().view(-1, 1, 1, 1)
    noisy, target = signal * clean + spread * noise, signal * noise - spread * clean
    phase = int(torch.randint(plan.keys**2, (), generator=generator))
    fewer = FewerKeys(plan.keys, (noisy.shape[-2], noisy.shape[-1]), phase)
    with fewer, Float32Attention(), torch.autocast(device, torch.bfloat16, casts(plan, device)):
        guess = trainee.parts.predict(noisy.to(device), times.to(device), words)
    # Divided by the variance of the target at this time.
    weight = 1 / (signal.square() + (spread * plan.spread).square())
    error = (guess.float() - target.to(device)).square()
    loss = (weight.to(device) * error).mean()
    trainee.optimizer.zero_grad()
    loss.backward()
    _finish(trainee, plan)
    return loss.item()


def _finish(trainee: Trainee, plan: Plan) -> None:
    pairs = trainee.named()
    for _, weight in pairs:
        if weight.grad is None:
            weight.grad = torch.zeros_like(weight)
    if plan.ranks > 1:
        flat = torch.cat([w.grad.flatten() for _, w in pairs if w.grad is not None])
        dist.all_reduce(flat)
        flat /= plan.ranks
        pieces = flat.split([weight.numel() for _, weight in pairs])
        for (_, weight), piece in zip(pairs, pieces, strict=True):
            weight.grad = piece.view_as(weight)
    nn.utils.clip_grad_norm_([weight for _, weight in pairs], 1.0)
    for group in trainee.optimizer.param_groups:
        group["lr"] = plan.rate(trainee.seen)
    trainee.optimizer.step()
    trainee.seen += plan.batch
    averages = [trainee.average[name] for name, _ in pairs]
    with torch.no_grad():
        torch._foreach_lerp_(averages, [w.detach() for _, w in pairs], 1 - plan.keep(trainee.seen))
