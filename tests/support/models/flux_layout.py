"""FLUX.1 under the names of its authors. diffusers reads these at the published width only."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from tests.support.models.original_layout import Weights, encoder, vae
from tests.support.pipelines import transformer_pipelines

WIDE: dict[str, Any] = {
    "num_layers": 1,
    "num_single_layers": 1,
    "num_attention_heads": 24,
    "attention_head_dim": 128,
    "axes_dims_rope": (16, 56, 56),
}
_BLOCK = {
    "norm1.linear": "img_mod.lin", "norm1_context.linear": "txt_mod.lin",
    "ff.net.0.proj": "img_mlp.0", "ff.net.2": "img_mlp.2",
    "ff_context.net.0.proj": "txt_mlp.0", "ff_context.net.2": "txt_mlp.2",
    "attn.to_out.0": "img_attn.proj", "attn.to_add_out": "txt_attn.proj",
}  # fmt: skip
_ENDS = {
    "time_text_embed.timestep_embedder.linear_1": "time_in.in_layer",
    "time_text_embed.timestep_embedder.linear_2": "time_in.out_layer",
    "time_text_embed.text_embedder.linear_1": "vector_in.in_layer",
    "time_text_embed.text_embedder.linear_2": "vector_in.out_layer",
    "time_text_embed.guidance_embedder.linear_1": "guidance_in.in_layer",
    "time_text_embed.guidance_embedder.linear_2": "guidance_in.out_layer",
    "context_embedder": "txt_in", "x_embedder": "img_in", "proj_out": "final_layer.linear",
}  # fmt: skip


def build() -> Any:
    """A pipeline of the published width with one block of each kind, in bfloat16."""
    pipe = transformer_pipelines.build("flux", **WIDE)
    with torch.no_grad():
        for weight in pipe.transformer.parameters():
            weight.mul_(0.1)
    return pipe.to(torch.bfloat16)


def flux(network: Any, prefix: str = "") -> Weights:
    """Weights of the transformer."""
    own, found = network.state_dict(), Weights()
    for end in ("weight", "bias"):
        found |= {f"{new}.{end}": own[f"{old}.{end}"] for old, new in _ENDS.items()}
        first, second = own[f"norm_out.linear.{end}"].chunk(2)
        found[f"final_layer.adaLN_modulation.1.{end}"] = torch.cat([second, first])
        for number in range(network.config.num_layers):
            old, new = f"transformer_blocks.{number}", f"double_blocks.{number}"
            found |= {f"{new}.{b}.{end}": own[f"{old}.{a}.{end}"] for a, b in _BLOCK.items()}
            for side, names in (
                ("img_attn", ("to_q", "to_k", "to_v")),
                ("txt_attn", ("add_q_proj", "add_k_proj", "add_v_proj")),
            ):
                rows = [own[f"{old}.attn.{name}.{end}"] for name in names]
                found[f"{new}.{side}.qkv.{end}"] = torch.cat(rows)
        for number in range(network.config.num_single_layers):
            old, new = f"single_transformer_blocks.{number}", f"single_blocks.{number}"
            parts = ("attn.to_q", "attn.to_k", "attn.to_v", "proj_mlp")
            found[f"{new}.linear1.{end}"] = torch.cat([own[f"{old}.{n}.{end}"] for n in parts])
            found[f"{new}.linear2.{end}"] = own[f"{old}.proj_out.{end}"]
            found[f"{new}.modulation.lin.{end}"] = own[f"{old}.norm.linear.{end}"]
    return {prefix + key: value for key, value in (found | _norms(network, own)).items()}


def _norms(network: Any, own: dict[str, Tensor]) -> Weights:
    """Scales of the queries' and keys' norms."""
    found = Weights()
    for number in range(network.config.num_layers):
        old, new = f"transformer_blocks.{number}.attn", f"double_blocks.{number}"
        for mine, theirs in (
            ("norm_q", "img_attn.norm.query_norm"), ("norm_k", "img_attn.norm.key_norm"),
            ("norm_added_q", "txt_attn.norm.query_norm"),
            ("norm_added_k", "txt_attn.norm.key_norm"),
        ):  # fmt: skip
            found[f"{new}.{theirs}.scale"] = own[f"{old}.{mine}.weight"]
    for number in range(network.config.num_single_layers):
        old, new = f"single_transformer_blocks.{number}.attn", f"single_blocks.{number}.norm"
        found[f"{new}.query_norm.scale"] = own[f"{old}.norm_q.weight"]
        found[f"{new}.key_norm.scale"] = own[f"{old}.norm_k.weight"]
    return found


def weights(pipe: Any) -> Weights:
    """The whole file of a pipeline."""
    found = flux(pipe.transformer, "model.diffusion_model.") | vae(pipe.vae, "vae.")
    found |= encoder(pipe.text_encoder, "text_encoders.clip_l.")
    return found | encoder(pipe.text_encoder_2, "text_encoders.t5xxl.")
