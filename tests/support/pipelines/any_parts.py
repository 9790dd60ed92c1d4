"""What tiny pipelines of diffusers' many classes are made of, and which cannot be made."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import diffusers
from transformers import (
    CLIPImageProcessor,
    CLIPVisionConfig,
    CLIPVisionModel,
    CLIPVisionModelWithProjection,
    DPTConfig,
    DPTForDepthEstimation,
    DPTImageProcessor,
)

from tests.support.pipelines import transformer_pipelines, unet_pipelines


def parts_of(name: str) -> dict[str, Any]:
    if name.startswith(("Flux", "VisualCloze")):
        return transformer_pipelines.build("flux").components
    if name.startswith("StableDiffusion3"):
        return transformer_pipelines.build("sd3").components
    if name.startswith("PixArt"):
        return transformer_pipelines.build("pixart").components
    if name.startswith("DiT"):
        return transformer_pipelines.build("dit").components | {
            "id2label": {i: str(i) for i in range(9)}
        }
    parts = dict(unet_pipelines.build("sdxl" if "XL" in name else "sd1").components)
    if "XL" not in name:
        parts |= {"image_encoder": None, "feature_extractor": None}
    return parts


def _unet(**overrides: Any) -> Callable[[dict[str, Any]], dict[str, Any]]:
    def change(parts: dict[str, Any]) -> dict[str, Any]:
        model = "sdxl" if "text_encoder_2" in parts else "sd1"
        return {"unet": unet_pipelines.small_unet(model, **overrides)}

    return change


def _channels(times: int) -> Callable[[dict[str, Any]], dict[str, Any]]:
    def change(parts: dict[str, Any]) -> dict[str, Any]:
        inside = parts["transformer"].config.in_channels
        made = transformer_pipelines.build("flux", in_channels=times * inside, out_channels=inside)
        return {"transformer": made.transformer}

    return change


def _fill(parts: dict[str, Any]) -> dict[str, Any]:
    inside = parts["transformer"].config.in_channels
    pixels = 4 * (2 ** (len(parts["vae"].config.block_out_channels) - 1)) ** 2
    made = transformer_pipelines.build("flux", in_channels=2 * inside + pixels, out_channels=inside)
    return {"transformer": made.transformer}


def _controlnet(parts: dict[str, Any]) -> dict[str, Any]:
    return {"controlnet": unet_pipelines._controlnet(parts["unet"])}


def _sd3_controlnet(parts: dict[str, Any]) -> dict[str, Any]:
    made = diffusers.SD3ControlNetModel.from_transformer(
        parts["transformer"],
        num_layers=2,
        num_extra_conditioning_channels=0,
        load_weights_from_transformer=False,
    )
    return {"controlnet": made}


def _sd3_inpaint(parts: dict[str, Any]) -> dict[str, Any]:
    made = diffusers.SD3ControlNetModel.from_transformer(
        parts["transformer"],
        num_layers=2,
        num_extra_conditioning_channels=1,
        load_weights_from_transformer=False,
    )
    return {"controlnet": made}


def _flux_controlnet(parts: dict[str, Any]) -> dict[str, Any]:
    config = dict(parts["transformer"].config)
    takes = inspect.signature(diffusers.FluxControlNetModel.__init__).parameters
    known = {k: v for k, v in config.items() if k in takes and not k.startswith("_")}
    return {"controlnet": diffusers.FluxControlNetModel(**known)}


def _adapter(parts: dict[str, Any]) -> dict[str, Any]:
    widths = list(parts["unet"].config.block_out_channels)
    xl = "text_encoder_2" in parts
    adapter = diffusers.T2IAdapter(
        in_channels=3,
        channels=widths,
        num_res_blocks=1,
        downscale_factor=4 if xl else 2,
        adapter_type="full_adapter_xl" if xl else "full_adapter",
    )
    return {"adapter": adapter}


def _vision(project: bool, width: int) -> Any:
    config = CLIPVisionConfig(
        hidden_size=width, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2,
        image_size=16, patch_size=8, projection_dim=width,
    )  # fmt: skip
    kind = CLIPVisionModelWithProjection if project else CLIPVisionModel
    return kind(config).eval()


def _variation(parts: dict[str, Any]) -> dict[str, Any]:
    size = {"height": 16, "width": 16}
    processor = CLIPImageProcessor(size={"shortest_edge": 16}, crop_size=size)
    width = parts["unet"].config.cross_attention_dim
    return {"image_encoder": _vision(True, width), "feature_extractor": processor}


def _depth(parts: dict[str, Any]) -> dict[str, Any]:
    config = DPTConfig(
        hidden_size=16, num_hidden_layers=4, num_attention_heads=2, intermediate_size=32,
        image_size=16, patch_size=8, backbone_out_indices=[0, 1, 2, 3], is_hybrid=False,
        neck_hidden_sizes=[8, 8, 8, 8], fusion_hidden_size=8, reassemble_factors=[4, 2, 1, 0.5],
    )  # fmt: skip
    return {
        "depth_estimator": DPTForDepthEstimation(config).eval(),
        "feature_extractor": DPTImageProcessor(size={"height": 16, "width": 16}),
        "unet": unet_pipelines.small_unet("sd1", in_channels=5),
    }


def _inverse(parts: dict[str, Any]) -> dict[str, Any]:
    made = diffusers.DDIMInverseScheduler.from_config(parts["scheduler"].config)
    return {"inverse_scheduler": made}


def _lcm(parts: dict[str, Any]) -> dict[str, Any]:
    made = diffusers.LCMScheduler.from_config(parts["scheduler"].config)
    return {"scheduler": made, "unet": unet_pipelines.small_unet("sd1", time_cond_proj_dim=8)}


def _upscale(parts: dict[str, Any]) -> dict[str, Any]:
    return dict(unet_pipelines.build("sd1", "upscale").components) | {"max_noise_level": 350}


def _latent_upscale(parts: dict[str, Any]) -> dict[str, Any]:
    unet = diffusers.UNet2DConditionModel(
        in_channels=8,
        out_channels=5,
        block_out_channels=(32, 32, 64, 64),
        down_block_types=("KDownBlock2D", *("KCrossAttnDownBlock2D",) * 3),
        up_block_types=(*("KCrossAttnUpBlock2D",) * 3, "KUpBlock2D"),
        mid_block_type=None,
        only_cross_attention=False,
        cross_attention_dim=parts["unet"].config.cross_attention_dim,
        attention_head_dim=8,
        act_fn="gelu",
        norm_num_groups=None,
        conv_in_kernel=1,
        conv_out_kernel=1,
        resnet_time_scale_shift="scale_shift",
        time_embedding_type="fourier",
        timestep_post_act="gelu",
        time_cond_proj_dim=64 + 2 * parts["text_encoder"].config.hidden_size,
    )
    solver = diffusers.EulerDiscreteScheduler(prediction_type="sample")
    return {"unet": unet.eval(), "scheduler": solver}


def _sampler(kind: str, **settings: Any) -> Callable[[dict[str, Any]], dict[str, Any]]:
    def change(parts: dict[str, Any]) -> dict[str, Any]:
        made = getattr(diffusers, kind).from_config(parts["scheduler"].config, **settings)
        return {"scheduler": made}

    return change


# By words in the name of a class: what its parts are beside the usual ones.
EXTRA: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "FluxControl": lambda parts: {},
    "FluxControlPipeline": _channels(2),
    "FluxControlImg2Img": _channels(2),
    "FluxControlInpaint": _channels(2),
    "FluxFill": _fill,
    "VisualCloze": _fill,
    "FluxControlNet": _flux_controlnet,
    "StableDiffusion3ControlNet": _sd3_controlnet,
    "StableDiffusion3ControlNetInpaint": _sd3_inpaint,
    "Depth2Img": _depth,
    "InstructPix2Pix": _unet(in_channels=8),
    "Marigold": _unet(in_channels=8),
    "ImageVariation": _variation,
    "LatentConsistency": _lcm,
    "StableDiffusionUpscale": _upscale,
    "LatentUpscale": _latent_upscale,
    "DiffEdit": _inverse,
    "Paradigms": _sampler("DDIMParallelScheduler"),
    "Adapter": _adapter,
    "GLIGEN": _unet(attention_type="gated"),
}
for _line in ("StableDiffusionControlNet", "StableDiffusionXLControlNet"):
    EXTRA[_line] = lambda parts: _controlnet(parts) if "unet" in parts else {}
MOTION = "its constructor turns the network into a UNetMotionModel, which is not supported"
APART = "its networks are not its `unet`; `apply` refuses it"
UNTRIED = {
    "AltDiffusion": "its text encoder (XLM-RoBERTa) has no tiny tokenizer here",
    "AnimateDiff": MOTION,
    "PIA": MOTION,
    "AudioLDM": "its vocoder has no tiny builder here",
    "MusicLDM": "its vocoder has no tiny builder here",
    "StableDiffusionControlNetXS": "its constructor turns the network into a "
    "UNetControlNetXSModel, which is not supported",
    "StableDiffusionXLControlNetXS": "its constructor turns the network into a "
    "UNetControlNetXSModel, which is not supported",
    "StableDiffusionDiffEdit": "it starts from latents of its own inversion only",
    "StableDiffusionXLControlNetUnion": "its ControlNet has 320 channels, more than a tiny network",
    "BlipDiffusion": "its Q-former has no tiny builder here",
    "LDMTextToImage": "its text encoder has no tiny builder here",
    "PaintByExample": "its image encoder has no tiny builder here",
    "StableDiffusionGLIGENTextImage": "its image projection has no tiny builder here",
    "StableDiffusionPix2PixZero": "its caption generator has no tiny builder here",
    "StableDiffusionLDM3D": "it needs an autoencoder of six channels",
    "StableDiffusion3InpaintPipeline": "it needs an autoencoder of 16 channels, bigger than tiny",
    "StableUnCLIP": "its prior has no tiny builder here",
    "VisualCloze": "it generates grids of example images, which have no tiny call here",
    "StableDiffusionAttendAndExcite": "it follows gradients of maps that no tiny network has; its "
    "processors hold a store, which refuses methods that skip or narrow attention",
    "LEditsPP": "it starts from latents of its own inversion only",
    "UnCLIP": APART,
    "VersatileDiffusion": APART,
    "Kandinsky": "no tiny text encoder or image decoder of its own here",
    "Kolors": "its text encoder (ChatGLM) has no tiny tokenizer here",
    "IF": "its pixel network has no tiny builder here",
}
