"""ImageReward (Xu et al., 2023, 2304.05977): how much people would like an image for its prompt.

The network is BLIP with a ViT-L image encoder and a text encoder that attends to it, and five
linear layers on the first token. The published package needs transformers 4. Here transformers' own
BLIP modules get the published weights, whose sizes are read from the file.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import BertTokenizer, BlipTextConfig, BlipVisionConfig, BlipVisionModel
from transformers.models.blip.modeling_blip_text import BlipTextModel

from evaluate.networks.base import Extract, Pixels
from evaluate.networks.clip import to_tensor
from evaluate.networks.weight_files import REWARD

HEAD = 64  # Width of an attention head in both encoders.
TOKENS = 35
MEAN, SPREAD = 0.16717362830052426, 1.0333394966054072  # Normalise rewards.
# Names of the image encoder in the file and in transformers.
RENAMED = (
    (r"^cls_token$", "embeddings.class_embedding"),
    (r"^pos_embed$", "embeddings.position_embedding"),
    (r"^patch_embed\.proj\.", "embeddings.patch_embedding."),
    (r"^norm\.", "post_layernorm."),
    (r"^blocks\.", "encoder.layers."),
    (r"\.norm(\d)\.", r".layer_norm\1."),
    (r"\.attn\.proj\.", ".self_attn.projection."),
    (r"\.attn\.", ".self_attn."),
)


class Reward(nn.Module):
    """The network, in the sizes of a state dict of the published form."""

    def __init__(self, state: dict[str, Tensor]) -> None:
        super().__init__()
        seen, said = _part(state, "blip.visual_encoder."), _part(state, "blip.text_encoder.")
        width, words = seen["cls_token"].shape[-1], said["embeddings.word_embeddings.weight"]
        patch = seen["patch_embed.proj.weight"].shape[-1]
        self.size = patch * int((seen["pos_embed"].shape[1] - 1) ** 0.5)
        self.images = BlipVisionModel(
            BlipVisionConfig(
                hidden_size=width,
                intermediate_size=seen["blocks.0.mlp.fc1.weight"].shape[0],
                num_hidden_layers=_layers(seen, "blocks."),
                num_attention_heads=width // HEAD,
                image_size=self.size,
                patch_size=patch,
                layer_norm_eps=1e-6,
            )
        )
        self.texts = BlipTextModel(
            BlipTextConfig(
                vocab_size=words.shape[0],
                hidden_size=words.shape[1],
                encoder_hidden_size=width,
                intermediate_size=said["encoder.layer.0.intermediate.dense.weight"].shape[0],
                num_hidden_layers=_layers(said, "encoder.layer."),
                num_attention_heads=words.shape[1] // HEAD,
                max_position_embeddings=said["embeddings.position_embeddings.weight"].shape[0],
                layer_norm_eps=1e-12,
                is_decoder=True,  # That is: with cross-attention.
            ),
            add_pooling_layer=False,
        )
        head = {k: v for k, v in _part(state, "mlp.layers.").items() if k.endswith("weight")}
        order = sorted(head, key=lambda name: int(name.split(".")[0]))
        self.head = nn.Sequential(
            *(nn.Linear(head[name].shape[1], head[name].shape[0]) for name in order)
        )
        self.images.load_state_dict({_renamed(name): value for name, value in seen.items()})
        said.pop("embeddings.position_ids", None)
        self.texts.load_state_dict(said)
        places = {name.split(".")[0]: str(i) for i, name in enumerate(order)}
        self.head.load_state_dict(
            {
                f"{places[name.split('.')[0]]}.{name.split('.')[1]}": value
                for name, value in _part(state, "mlp.layers.").items()
            }
        )

    def forward(self, images: Tensor, tokens: Tensor, mask: Tensor) -> Tensor:
        """Rewards `[n, 1]` of normalised pixels `[n, 3, s, s]` with tokens and mask `[n, t]`."""
        seen = self.images(pixel_values=images).last_hidden_state
        read = self.texts(
            input_ids=tokens,
            attention_mask=mask,
            encoder_hidden_states=seen,
            encoder_attention_mask=torch.ones(seen.shape[:2], dtype=torch.long, device=seen.device),
        ).last_hidden_state
        found: Tensor = (self.head(read[:, 0]) - MEAN) / SPREAD
        return found


def _part(state: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}


def _layers(state: dict[str, Tensor], prefix: str) -> int:
    return 1 + max(
        int(name.removeprefix(prefix).split(".")[0]) for name in state if name.startswith(prefix)
    )


def _renamed(name: str) -> str:
    for pattern, new in RENAMED:
        name = re.sub(pattern, new, name)
    return name


def load_reward(files: list[Path], device: str) -> Extract:
    """The reward of each image with its caption."""
    # The file is there, so nothing is fetched; it holds tensors only.
    state = torch.hub.load_state_dict_from_url(
        REWARD.url, model_dir=str(files[0].parent), map_location="cpu", weights_only=True
    )
    network = Reward(state).to(device).eval().requires_grad_(False)
    tokenizer = BertTokenizer.from_pretrained(files[1].parent, local_files_only=True)

    def extract(images: Sequence[Pixels], texts: Sequence[str]) -> NDArray[np.floating[Any]]:
        tokens = tokenizer(
            list(texts), padding="max_length", truncation=True, max_length=TOKENS,
            return_tensors="pt",
        ).to(device)  # fmt: skip
        pixels = to_tensor(images, network.size).to(device)
        rewards: Tensor = network(pixels, tokens.input_ids, tokens.attention_mask)
        found: NDArray[np.float32] = rewards.cpu().numpy()
        return found

    return extract
