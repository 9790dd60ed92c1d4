"""Architecture and content of a weight file, told by the names and shapes of its tensors."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from accel.models.files.weight_file import WeightFile
from strategies import StrategyError

DENOISER = "model.diffusion_model."
EMA = "model_ema."
VAES = ("first_stage_model.", "vae.")
# Prefixes that trainers and other programs put before a denoiser's own names.
PREFIXES = (DENOISER, "diffusion_model.", "model.", "transformer.", "unet.")
SCALES = (".scale_weight", ".weight_scale")
INPUT_SCALES = (".scale_input", ".input_scale")
LORA_MARKS = ("lora_up", "lora_down", "lora_A", "lora_B", "lora_linear_layer", "hada_", "lokr_")


@dataclass(frozen=True)
class Architecture:
    """A kind of model whose files are known.

    Attributes:
        name: name in messages.
        pipelines: classes of diffusers that a base may be of.
        base: name of the config, or hub id, of the published model.
        encoders: tensor that a file with a text encoder has, by the encoder's name in the pipeline.
    """

    name: str
    pipelines: tuple[str, ...]
    base: str
    encoders: dict[str, str]

    @property
    def denoiser(self) -> str:
        """Name of the denoiser in the pipeline."""
        return "unet" if self.name.startswith(("Stable Diffusion 1", "Stable Diffusion 2")) or (
            "XL" in self.name
        ) else "transformer"  # fmt: skip


_SD = ("StableDiffusionPipeline", "StableDiffusionInpaintPipeline")
_CLIP = "transformer.text_model.embeddings.position_embedding.weight"
SD1 = Architecture(
    "Stable Diffusion 1.x", _SD, "sd15", {"text_encoder": f"cond_stage_model.{_CLIP}"}
)
SD2 = Architecture(
    "Stable Diffusion 2.x",
    _SD,
    "sd21",
    {"text_encoder": "cond_stage_model.model.token_embedding.weight"},
)
XL = Architecture(
    "Stable Diffusion XL",
    ("StableDiffusionXLPipeline", "StableDiffusionXLInpaintPipeline"),
    "sdxl",
    {
        "text_encoder": f"conditioner.embedders.0.{_CLIP}",
        "text_encoder_2": "conditioner.embedders.1.model.positional_embedding",
    },
)
_ENCODERS = "text_encoders.{}.transformer."
SD3 = Architecture(
    "Stable Diffusion 3",
    ("StableDiffusion3Pipeline",),
    "sd3-medium",
    {
        "text_encoder": f"text_encoders.clip_l.{_CLIP}",
        "text_encoder_2": f"text_encoders.clip_g.{_CLIP}",
        "text_encoder_3": "text_encoders.t5xxl.transformer.shared.weight",
    },
)
FLUX = Architecture(
    "FLUX.1",
    ("FluxPipeline",),
    "flux-dev",
    {
        "text_encoder": f"text_encoders.clip_l.{_CLIP}",
        "text_encoder_2": "text_encoders.t5xxl.transformer.shared.weight",
    },
)
KNOWN = (SD1, SD2, XL, SD3, FLUX)
# Models of other architectures whose names would pass for FLUX's.
_NOT_FLUX = (
    "distilled_guidance_layer.in_proj.bias",
    "single_stream_modulation.lin.weight",
    "txt_in.individual_token_refiner.blocks.0.adaLN_modulation.1.bias",
)


@dataclass(frozen=True)
class Layout:
    """Content of a weight file.

    Attributes:
        file: header of the file.
        architecture: kind of the model; None if only the base can tell.
        original: whether the names are those of the model's authors, not diffusers'.
        prefix: text before the names of the denoiser.
        parts: parts of the pipeline that the file has.
        scaled: names of weights that must be multiplied by a scale of their own.
    """

    file: WeightFile
    architecture: Architecture | None
    original: bool
    prefix: str
    parts: frozenset[str]
    scaled: frozenset[str] = frozenset()

    @property
    def is_alone(self) -> bool:
        """Whether the file has the denoiser only."""
        return not self.parts - {"unet", "transformer"}

    @property
    def has_ema(self) -> bool:
        """Whether it also has averaged weights of the denoiser."""
        return self.file.has(EMA)


def layout(file: WeightFile) -> Layout:
    """The content of a file.

    Raises:
        StrategyError: it holds no denoiser; says what it holds, if that is known.
    """
    prefix = _prefix(file.keys)
    names = {key[len(prefix) :] for key in file.keys if key.startswith(prefix)}
    architecture, original = _architecture(file, names, prefix)
    if architecture is None and not original and not _is_diffusers(names):
        raise StrategyError(_instead(file))
    denoiser = "transformer"
    if architecture is not None:
        denoiser = architecture.denoiser
    elif "conv_in.weight" in names:
        denoiser = "unet"
    parts = {denoiser} | {"vae" for one in VAES if file.has(one)}
    if architecture is not None:
        parts |= {part for part, key in architecture.encoders.items() if key in file.keys}
    return Layout(file, architecture, original, prefix, frozenset(parts), _scaled(file))


def _prefix(keys: Iterable[str]) -> str:
    """Text before the denoiser's names; the first of the known ones that leads to some."""
    keys = list(keys)
    for prefix in PREFIXES:
        inside = {key[len(prefix) :] for key in keys if key.startswith(prefix)}
        if inside and (_is_original(inside) or _is_diffusers(inside)):
            return prefix
    return ""


def _is_original(names: set[str]) -> bool:
    marks = ("input_blocks.0.0.weight", "joint_blocks.0.x_block.attn.qkv.weight")
    return bool(names & {*marks, "double_blocks.0.img_attn.qkv.weight"})


def _is_diffusers(names: set[str]) -> bool:
    unet = {"conv_in.weight", "time_embedding.linear_1.weight"} <= names
    return unet or (
        any(name.startswith(("transformer_blocks.0.", "single_transformer_blocks.0.", "blocks.0."))
            for name in names)
        and not any(mark in name for name in names for mark in LORA_MARKS)
    )  # fmt: skip


def _architecture(
    file: WeightFile, names: set[str], prefix: str
) -> tuple[Architecture | None, bool]:
    """Kind of the model, and whether its names are the authors'."""
    if "input_blocks.0.0.weight" in names:
        if "label_emb.0.0.weight" in names:
            _refuse_refiner(file)
            return XL, True
        found = [
            key
            for key in names
            if key.startswith("input_blocks.") and key.endswith("proj_in.weight")
        ]
        if not found:
            return None, True
        shape = file.tensors[prefix + min(found)].shape
        return (SD1 if len(shape) == 4 else SD2), True  # SD 2 projects by a linear layer.
    if any(name.startswith("joint_blocks.0.") for name in names):
        return SD3, True
    if any(name.startswith("double_blocks.0.img_attn.") for name in names):
        return (None if names & set(_NOT_FLUX) else FLUX), True
    return None, False


def _refuse_refiner(file: WeightFile) -> None:
    if file.has("conditioner.embedders.0.model."):
        raise StrategyError(
            f"{file.path} is the refiner of Stable Diffusion XL, which changes images of another "
            "model; give the base model"
        )


def _scaled(file: WeightFile) -> frozenset[str]:
    """Names of the weights that have a scale."""
    found = set()
    for key in file.keys:
        for scale in SCALES:
            if key.endswith(scale):
                found.add(f"{key.removesuffix(scale)}.weight")
    return frozenset(found & file.keys)


def _instead(file: WeightFile) -> str:
    """Error for a file without a denoiser: what it holds, and the flag for that."""
    keys = file.keys
    if any(mark in key for key in keys for mark in LORA_MARKS):
        return f"{file.path} is a LoRA; give its model as --model and the file by --lora"
    if any(key.startswith(("control_model.", "controlnet_")) for key in keys):
        return f"{file.path} is a ControlNet; give the model itself"
    if any(key.startswith(("encoder.conv_in.", "decoder.conv_in.", *VAES)) for key in keys):
        return f"{file.path} is an autoencoder; give its model as --model and the file by --vae"
    if any("text_model" in key or key.startswith("encoder.block.") for key in keys):
        return f"{file.path} is a text encoder; give the model itself"
    if len(keys) <= 2:
        return (
            f"{file.path} is perhaps a textual inversion; give its model as --model and the file "
            "by --embedding"
        )
    return (
        f"{file.path} has no denoiser that is known (its first tensor is {min(keys)}); there are "
        f"{', '.join(one.name for one in KNOWN)}, and transformers under diffusers' names"
    )
