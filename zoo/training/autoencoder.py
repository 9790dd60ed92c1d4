"""Stage of the KL autoencoder, and of the latents of the training set."""

from __future__ import annotations

import numpy as np
import torch
from diffusers import AutoencoderKL
from numpy.typing import NDArray
from torch import Tensor, nn

from zoo.subjects import Sample
from zoo.training.classifiers import pictures

TILE = 32


def train(
    vae: AutoencoderKL, steps: int, seed: int, sample: Sample, spread: float, batch: int = 32
) -> AutoencoderKL:
    """Train with L1 + MSE and a small KL term (weight 1e-4 per latent).

    If images are larger than 32 x 32, every other batch holds tiles of that size, which are more
    varied. The other batches hold whole images with as many pixels in all.

    Args:
        vae: autoencoder to train in place.
        steps: number of batches.
        seed: random seed of the images.
        sample: function that draws the images.
        spread: standard deviation of the scaled latents, see `_set_scale`.
        batch: images or tiles per step.
    """
    optimizer = torch.optim.AdamW(vae.parameters(), lr=3e-3, betas=(0.9, 0.99))
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, total_steps=steps)
    vae.train()
    for step in range(steps):
        images = _batch(batch, step % 2 == 1, seed * 1_000_003 + step, sample)
        posterior = vae.encode(images).latent_dist
        decoded = vae.decode(posterior.sample()).sample
        error = (decoded - images).abs().mean() + 2 * nn.functional.mse_loss(decoded, images)
        kl = 0.5 * (posterior.mean.square() + posterior.var - 1 - posterior.logvar).mean()
        optimizer.zero_grad()
        (error + 1e-4 * kl).backward()
        nn.utils.clip_grad_norm_(vae.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if step % 100 == 0:
            print(
                f"vae step {step}/{steps} error {error.item():.4f} kl {kl.item():.3f}", flush=True
            )
    vae.eval().requires_grad_(False)
    _set_scale(vae, seed, sample, spread)
    return vae


def _batch(count: int, whole: bool, seed: int, sample: Sample) -> Tensor:
    images = pictures(sample(count, seed)) * 2 - 1
    side = images.shape[-1]
    if side == TILE:
        return images
    if whole:
        return images[: count * TILE**2 // side**2]
    places = np.random.default_rng(seed).integers(0, side - TILE + 1, (count, 2))
    tiles = zip(images, places, strict=True)
    return torch.stack([image[:, y : y + TILE, x : x + TILE] for image, (y, x) in tiles])


@torch.inference_mode()
def _set_scale(vae: AutoencoderKL, seed: int, sample: Sample, spread: float) -> None:
    """Scale latents to `spread`: half of unit variance on 16 x 16 latents, a quarter on 32 x 32.

    On so small a grid SD's noise schedule would leave the position of an object visible at the last
    timestep (a matched filter tells left from right at d' = 1.7). The model would learn to read it
    from the noise instead of the caption. A smaller input scale moves the whole schedule towards
    noise (Chen, 2023, arXiv 2301.10972).
    """
    parts = pictures(sample(512, seed + 1)).split(64)
    latents = torch.cat([vae.encode(part * 2 - 1).latent_dist.mean for part in parts])
    vae.register_to_config(scaling_factor=float(spread / latents.std()))


@torch.inference_mode()
def encode_latents(vae: AutoencoderKL, images: NDArray[np.float32]) -> NDArray[np.float16]:
    """Scaled latent means, float16 `[n, 4, h/2, w/2]`, of RGB `[n, h, w, 3]` in [0, 1]."""
    out = []
    for chunk in torch.from_numpy(images).permute(0, 3, 1, 2).split(256):
        latents = vae.encode(chunk * 2 - 1).latent_dist.mean * vae.config.scaling_factor
        out.append(latents.half().numpy())
    return np.concatenate(out)


@torch.inference_mode()
def reconstruct(vae: AutoencoderKL, images: Tensor) -> Tensor:
    """Reconstruction of RGB in [0, 1], `[n, 3, h, w]`, by the autoencoder, clipped."""
    parts = [
        vae.decode(vae.encode(chunk * 2 - 1).latent_dist.mean).sample for chunk in images.split(128)
    ]
    return (torch.cat(parts) / 2 + 0.5).clamp(0, 1)


def reconstruction_psnr(vae: AutoencoderKL, images: Tensor) -> float:
    """PSNR of reconstructions of RGB in [0, 1], `[n, 3, h, w]`: mean over the images, in dB."""
    noise = (reconstruct(vae, images) - images).square().mean((1, 2, 3))
    return float((-10 * torch.log10(noise)).mean())
