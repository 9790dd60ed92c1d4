"""Single files under the names of the models' authors, written from pipelines of diffusers."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import diffusers
import torch
from safetensors.torch import save_file
from torch import Tensor

from tests.support.pipelines import transformer_pipelines
from tests.support.pipelines.unet_pipelines import small_unet
from zoo import tiny_sd

Weights = dict[str, Tensor]
UNET, VAE = "model.diffusion_model.", "first_stage_model."
_RESNET = {
    "norm1": "in_layers.0", "conv1": "in_layers.2", "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0", "conv2": "out_layers.3", "conv_shortcut": "skip_connection",
}  # fmt: skip
_ENDS = {
    "conv_in": "input_blocks.0.0", "conv_norm_out": "out.0", "conv_out": "out.2",
    "time_embedding.linear_1": "time_embed.0", "time_embedding.linear_2": "time_embed.2",
    "add_embedding.linear_1": "label_emb.0.0", "add_embedding.linear_2": "label_emb.0.2",
}  # fmt: skip
_ATTENTION = {"group_norm": "norm", "to_q": "q", "to_k": "k", "to_v": "v", "to_out.0": "proj_out"}


def unet(network: Any, prefix: str = UNET) -> Weights:
    """Weights of a UNet under the names of Stable Diffusion's authors."""
    layers = network.config.layers_per_block
    return {f"{prefix}{_unet(k, layers, network)}": v for k, v in network.state_dict().items()}


def _unet(key: str, layers: int, network: Any) -> str:
    for mine, theirs in _ENDS.items():
        if key.startswith(f"{mine}."):
            return theirs + key.removeprefix(mine)
    match = re.match(r"(down|up)_blocks\.(\d+)\.(\w+)\.(\d+)\.(.*)", key)
    if match is None:
        match = re.match(r"(mid)_block\.(resnets|attentions)\.(\d+)\.(.*)", key)
        assert match is not None, key
        place = 1 if match[2] == "attentions" else 2 * int(match[3])
        return f"middle_block.{place}.{_inner(match[2], match[4])}"
    side, block, kind, at, rest = match[1], int(match[2]), match[3], int(match[4]), match[5]
    each = layers + 1
    if kind == "downsamplers":
        return f"input_blocks.{(block + 1) * each}.0.op{rest.removeprefix('conv')}"
    if kind == "upsamplers":
        attends = hasattr(network.up_blocks[block], "attentions")
        return f"output_blocks.{block * each + layers}.{1 + attends}.{rest}"
    number = block * each + at + (side == "down")
    name = "input" if side == "down" else "output"
    return f"{name}_blocks.{number}.{int(kind == 'attentions')}.{_inner(kind, rest)}"


def _inner(kind: str, rest: str) -> str:
    if kind == "attentions":
        return rest
    head, _, tail = rest.partition(".")
    return f"{_RESNET[head]}.{tail}"


def vae(network: Any, prefix: str = VAE) -> Weights:
    """Weights of an autoencoder under the names of its authors."""
    blocks, found = len(network.config.block_out_channels), Weights()
    for key, value in network.state_dict().items():
        name = re.sub(r"encoder\.down_blocks\.(\d+)\.resnets", r"encoder.down.\1.block", key)
        name = re.sub(r"(down_blocks\.(\d+)\.downsamplers\.0)", r"down.\2.downsample", name)
        name = re.sub(
            r"up_blocks\.(\d+)\.resnets", lambda m: f"up.{blocks - 1 - int(m[1])}.block", name
        )
        name = re.sub(
            r"up_blocks\.(\d+)\.upsamplers\.0",
            lambda m: f"up.{blocks - 1 - int(m[1])}.upsample",
            name,
        )
        name = re.sub(
            r"mid_block\.resnets\.(\d)", lambda m: f"mid.block_{int(m[1]) + 1}", name
        ).replace("conv_norm_out", "norm_out")
        name = name.replace("conv_shortcut", "nin_shortcut")
        if "mid_block.attentions.0." in name:
            inner = name.partition("mid_block.attentions.0.")[2]
            mine = next(one for one in _ATTENTION if inner.startswith(one))
            name = name.replace(f"mid_block.attentions.0.{mine}", f"mid.attn_1.{_ATTENTION[mine]}")
            if value.ndim == 2:
                value = value[:, :, None, None]
        found[prefix + name] = value
    return found


def clip(network: Any, prefix: str) -> Weights:
    """Weights of a CLIP text encoder of transformers, as files have them."""
    return {
        f"{prefix}transformer.text_model.{key.removeprefix('text_model.')}": value
        for key, value in network.state_dict().items()
        if key != "text_projection.weight"
    }


def open_clip(network: Any, prefix: str) -> Weights:
    """Weights of a CLIP text encoder under OpenCLIP's names."""
    own = {key.removeprefix("text_model."): value for key, value in network.state_dict().items()}
    found: Weights = {
        "token_embedding.weight": own["embeddings.token_embedding.weight"],
        "positional_embedding": own["embeddings.position_embedding.weight"],
        "ln_final.weight": own["final_layer_norm.weight"],
        "ln_final.bias": own["final_layer_norm.bias"],
    }
    if "text_projection.weight" in own:
        found["text_projection"] = own["text_projection.weight"].T.contiguous()
    for layer in range(network.config.num_hidden_layers):
        old, new = f"encoder.layers.{layer}", f"transformer.resblocks.{layer}"
        for end in ("weight", "bias"):
            rows = [own[f"{old}.self_attn.{one}_proj.{end}"] for one in "qkv"]
            found[f"{new}.attn.in_proj_{end}"] = torch.cat(rows)
            for mine, theirs in (
                ("self_attn.out_proj", "attn.out_proj"), ("layer_norm1", "ln_1"),
                ("layer_norm2", "ln_2"), ("mlp.fc1", "mlp.c_fc"), ("mlp.fc2", "mlp.c_proj"),
            ):  # fmt: skip
                found[f"{new}.{theirs}.{end}"] = own[f"{old}.{mine}.{end}"]
    return {prefix + key: value.clone() for key, value in found.items()}


def sd3(network: Any, prefix: str = UNET) -> Weights:
    """Weights of Stable Diffusion 3's transformer under the names of its authors."""
    own, found = network.state_dict(), Weights()
    last, width = network.config.num_layers - 1, network.config.caption_projection_dim

    def swapped(value: Tensor) -> Tensor:
        return torch.cat([value[width:], value[:width]])

    for end in ("weight", "bias"):
        for mine, theirs in (
            ("pos_embed.proj", "x_embedder.proj"), ("context_embedder", "context_embedder"),
            ("time_text_embed.timestep_embedder.linear_1", "t_embedder.mlp.0"),
            ("time_text_embed.timestep_embedder.linear_2", "t_embedder.mlp.2"),
            ("time_text_embed.text_embedder.linear_1", "y_embedder.mlp.0"),
            ("time_text_embed.text_embedder.linear_2", "y_embedder.mlp.2"),
            ("proj_out", "final_layer.linear"),
        ):  # fmt: skip
            found[f"{theirs}.{end}"] = own[f"{mine}.{end}"]
        found[f"final_layer.adaLN_modulation.1.{end}"] = swapped(own[f"norm_out.linear.{end}"])
        for number in range(last + 1):
            block, new = f"transformer_blocks.{number}", f"joint_blocks.{number}"
            image, text = f"{new}.x_block", f"{new}.context_block"
            for side, names in (
                (image, ("to_q", "to_k", "to_v")),
                (text, ("add_q_proj", "add_k_proj", "add_v_proj")),
            ):
                rows = [own[f"{block}.attn.{one}.{end}"] for one in names]
                found[f"{side}.attn.qkv.{end}"] = torch.cat(rows)
            pairs = [
                ("attn.to_out.0", f"{image}.attn.proj"),
                ("norm1.linear", f"{image}.adaLN_modulation.1"),
                ("ff.net.0.proj", f"{image}.mlp.fc1"), ("ff.net.2", f"{image}.mlp.fc2"),
            ]  # fmt: skip
            if number < last:
                pairs += [
                    ("attn.to_add_out", f"{text}.attn.proj"),
                    ("norm1_context.linear", f"{text}.adaLN_modulation.1"),
                    ("ff_context.net.0.proj", f"{text}.mlp.fc1"),
                    ("ff_context.net.2", f"{text}.mlp.fc2"),
                ]
            else:
                found[f"{text}.adaLN_modulation.1.{end}"] = swapped(
                    own[f"{block}.norm1_context.linear.{end}"]
                )
            found |= {f"{theirs}.{end}": own[f"{block}.{mine}.{end}"] for mine, theirs in pairs}
    found["pos_embed"] = own["pos_embed.pos_embed"]
    return {prefix + key: value.clone() for key, value in found.items()}


def encoder(network: Any, prefix: str) -> Weights:
    """Weights of a text encoder as files of Stable Diffusion 3 and FLUX have them."""
    own = network.state_dict()
    own.pop("encoder.embed_tokens.weight", None)  # The shared words once more.
    if type(network).__name__ == "CLIPTextModel":
        own = {f"text_model.{key.removeprefix('text_model.')}": one for key, one in own.items()}
    return {f"{prefix}transformer.{key}": value.clone() for key, value in own.items()}


def weights_3(pipe: Any) -> Weights:
    """The whole file of a pipeline of Stable Diffusion 3."""
    found = sd3(pipe.transformer) | vae(pipe.vae)
    for name, part in (
        ("clip_l", pipe.text_encoder), ("clip_g", pipe.text_encoder_2),
        ("t5xxl", pipe.text_encoder_3),
    ):  # fmt: skip
        found |= encoder(part, f"text_encoders.{name}.")
    return found


def controlnet(network: Any) -> Weights:
    """Weights of a ControlNet under the names of its authors."""
    layers, found = network.config.layers_per_block, Weights()
    hints = len(network.config.conditioning_embedding_out_channels)
    for key, value in network.state_dict().items():
        part, _, rest = key.partition(".")
        if part == "controlnet_cond_embedding":
            layer, _, end = rest.rpartition(".")
            ends = {"conv_in": 0, "conv_out": 4 * hints - 2}
            block = layer.removeprefix("blocks.")
            number = ends[layer] if layer in ends else 2 + 2 * int(block)
            name = f"input_hint_block.{number}.{end}"
        elif part == "controlnet_down_blocks":
            place, _, end = rest.partition(".")
            name = f"zero_convs.{place}.0.{end}"
        elif part == "controlnet_mid_block":
            name = f"middle_block_out.0.{rest}"
        else:
            name = _unet(key, layers, network)
        found[f"control_model.{name}"] = value
    return found


def weights(pipe: Any) -> Weights:
    """The whole file of a pipeline of Stable Diffusion 1, 2, XL or 3."""
    if hasattr(pipe, "transformer"):
        return weights_3(pipe)
    found = unet(pipe.unet) | vae(pipe.vae)
    if hasattr(pipe, "text_encoder_2"):
        found |= clip(pipe.text_encoder, "conditioner.embedders.0.")
        return found | open_clip(pipe.text_encoder_2, "conditioner.embedders.1.model.")
    if pipe.unet.config.use_linear_projection:
        return found | open_clip(pipe.text_encoder, "cond_stage_model.model.")
    return found | clip(pipe.text_encoder, "cond_stage_model.")


def write(tensors: Mapping[str, Tensor], path: Path) -> Path:
    """Write a safetensors file."""
    save_file({key: value.contiguous().clone() for key, value in tensors.items()}, path)
    return path


def base_of(pipe: Any, folder: Path, weighty: bool = False) -> Path:
    """The folder of a pipeline without any weights, or with all of them."""
    pipe.save_pretrained(folder)
    for path in () if weighty else folder.glob("*/*.safetensors"):
        path.unlink()
    assert json.loads((folder / "model_index.json").read_text())["_class_name"]
    return folder


def tiny_sd3() -> Any:
    """A tiny Stable Diffusion 3 whose CLIP encoders have two widths, as the published ones do."""
    from transformers import CLIPTextConfig, CLIPTextModelWithProjection

    pipe = transformer_pipelines.build("sd3", pooled_projection_dim=32 + 64)
    torch.manual_seed(0)
    config = tiny_sd.text_encoder(pipe.tokenizer, 32).config.to_dict()
    first = CLIPTextModelWithProjection(CLIPTextConfig.from_dict(config)).eval()
    pipe.register_modules(text_encoder=first)
    return pipe


def tiny_xl() -> Any:
    """A tiny Stable Diffusion XL whose text encoders have two widths, as the published ones do."""
    from transformers import CLIPTextConfig, CLIPTextModelWithProjection

    torch.manual_seed(0)
    words = tiny_sd.tokenizer()
    first = tiny_sd.text_encoder(words, 32)
    config = CLIPTextConfig.from_dict(tiny_sd.text_encoder(words, 64).config.to_dict())
    second = CLIPTextModelWithProjection(config)
    unet_ = small_unet("sdxl", **{"cross_attention_dim": 96})
    pipe = diffusers.StableDiffusionXLPipeline(
        vae=tiny_sd.vae(), text_encoder=first, text_encoder_2=second, tokenizer=words,
        tokenizer_2=words, unet=unet_, scheduler=tiny_sd.scheduler(),
        force_zeros_for_empty_prompt=False,
    )  # fmt: skip
    pipe.set_progress_bar_config(disable=True)
    return pipe
