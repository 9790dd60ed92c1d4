"""Inner levels of tiny-portraits' UNet, trained first and alone on latents of half the size.

The first level has 1,024 tokens and takes most of a training step, but the levels below it decide
the layout. They are therefore trained first, with one convolution in place of everything before
them and one in place of everything after. Then the whole UNet that contains them is trained (Gu et
al., 2023, arXiv 2310.15111, train nested UNets in this order).

Their latents are those of whole images, summed over 2 x 2 and halved. Unit noise stays unit noise,
so that every time of the schedule means the same in both stages.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from torch import Tensor, nn
from transformers import CLIPTextModel, CLIPTokenizer

from zoo import tiny_portraits, tiny_sd

POOL = 2


class Inner(nn.Module):
    """The modules of a UNet below its first level, and two convolutions around them."""

    def __init__(self, unet: UNet2DConditionModel) -> None:
        super().__init__()
        outside, inside = unet.config.block_out_channels[:2]
        self.project_time = unet.time_proj
        self.embed_time = unet.time_embedding
        self.down = unet.down_blocks[1:]
        self.middle = unet.mid_block
        self.up = unet.up_blocks[:-2]
        # Everything of the block before the first level, except its upsampler.
        self.last = unet.up_blocks[-2].resnets
        self.first = nn.Conv2d(unet.config.in_channels, outside, 3, padding=1)
        groups = unet.config.norm_num_groups
        self.out = nn.Sequential(
            nn.GroupNorm(groups, inside),
            nn.SiLU(),
            nn.Conv2d(inside, unet.config.out_channels, 3, padding=1),
        )

    def forward(self, noisy: Tensor, times: Tensor, words: Tensor) -> Tensor:
        """Prediction of v, `[n, 4, h / 2, w / 2]` like the noisy latents."""
        embedded = self.embed_time(self.project_time(times).to(noisy.dtype))
        hidden = self.first(noisy)
        skips = [hidden]
        for block in self.down:
            hidden, found = block(hidden, embedded, **_attended(block, words))
            skips += found
        hidden = self.middle(hidden, embedded, encoder_hidden_states=words)
        for block in self.up:
            count = len(block.resnets)
            skips, mine = skips[:-count], tuple(skips[-count:])
            hidden = block(hidden, mine, embedded, **_attended(block, words))
        for layer in self.last:
            hidden = layer(torch.cat([hidden, skips.pop()], dim=1), embedded)
        guess: Tensor = self.out(hidden)
        return guess


def _attended(block: nn.Module, words: Tensor) -> dict[str, Tensor]:
    has = getattr(block, "has_cross_attention", False)
    return {"encoder_hidden_states": words} if has else {}


class Parts:
    """Parts whose denoiser is the inner levels of a UNet."""

    def __init__(self, whole: tiny_sd.Parts) -> None:
        self.tokenizer: CLIPTokenizer = whole.tokenizer
        self.text_encoder: CLIPTextModel = whole.text_encoder
        self.vae: AutoencoderKL = whole.vae
        self.unet = whole.unet
        self.inner = Inner(whole.unet)

    def pipeline(self) -> Pipeline:
        """Pipeline that generates with the inner levels alone."""
        return Pipeline(self)

    def learning(self) -> dict[str, nn.Module]:
        """Modules that diffusion training changes."""
        return {"inner": self.inner, "text_encoder": self.text_encoder}

    def pool(self, tokens: Tensor) -> Tensor:
        """One vector per caption, of tokens `[n, length]`."""
        pooled: Tensor = self.text_encoder(tokens).pooler_output
        return pooled

    def predict(self, noisy: Tensor, times: Tensor, tokens: Tensor) -> Tensor:
        """Prediction of v, `[n, 4, h / 2, w / 2]` like the noisy latents; times are `[n]`."""
        hidden = self.text_encoder(tokens).last_hidden_state
        guess: Tensor = self.inner(noisy, times, hidden)
        return guess


def build() -> Parts:
    """Fresh parts with random weights from torch's global generator."""
    return Parts(tiny_portraits.build())


def grow(before: Parts) -> tiny_sd.Parts:
    """The whole UNet with the trained inner levels and a fresh first level."""
    return tiny_sd.Parts(before.tokenizer, before.text_encoder, before.vae, before.unet)


class Pipeline:
    """Pipeline of the inner levels; each latent of half the size is decoded as a block of 2 x 2."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self.scheduler: Any = tiny_sd.scheduler()

    def set_progress_bar_config(self, **settings: Any) -> None:
        """Accept the settings of a diffusers pipeline; there is no progress bar."""

    @torch.no_grad()
    def __call__(
        self,
        prompt: Sequence[str],
        num_inference_steps: int = 25,
        guidance_scale: float = 5.0,
        generator: torch.Generator | None = None,
        output_type: str = "pt",
    ) -> Any:
        """Images in [0, 1], `[n, 3, 64, 64]`, as `.images`."""
        parts = self._parts
        device = next(parts.inner.parameters()).device
        texts = [*prompt, *[""] * len(prompt)]
        tokens = parts.tokenizer(texts, padding="max_length", truncation=True, return_tensors="pt")
        words = parts.text_encoder(tokens.input_ids.to(device)).last_hidden_state
        solver = self.scheduler
        solver.set_timesteps(num_inference_steps)
        side = tiny_portraits.LATENT_SIZE // POOL
        noise = torch.randn(len(prompt), 4, side, side, generator=generator)
        latents = noise.to(device)
        for time in solver.timesteps:
            times = time.to(device).expand(len(texts))
            told, untold = parts.inner(torch.cat([latents, latents]), times, words).chunk(2)
            guess = untold + guidance_scale * (told - untold)
            latents = solver.step(guess, time, latents).prev_sample
        blocks = nn.functional.interpolate(latents / POOL, scale_factor=POOL)
        decoded = parts.vae.to(device).decode(blocks / parts.vae.config.scaling_factor).sample
        return SimpleNamespace(images=(decoded / 2 + 0.5).clamp(0, 1))
