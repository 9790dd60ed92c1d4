"""The words of a model card."""

from __future__ import annotations

from typing import Any

from zoo.subjects import PORTRAITS, SHAPES, Subject

GUIDANCES = (4.0, 5.0, 8.0)
TOPOLOGY = {
    "tiny-sd": """\
Stable Diffusion 1.5's topology (4 levels x 2 layers,
12 skip positions, cross-attention on three levels, CLIP text encoder, KL autoencoder)""",
    "tiny-pixart": """\
PixArt's topology (10 transformer blocks on
256 tokens, one adaLN shared by all, cross-attention, T5 text encoder, tiny-sd's KL autoencoder; the
channels of the learned variance are there but not trained)""",
    "tiny-portraits": """\
Stable Diffusion's topology (4 levels x 1 layer,
8 skip positions, self- and cross-attention on the first and third level, 1,024 tokens on the first,
CLIP text encoder, KL autoencoder)""",
}
# How to call it, and what happened to the released weights beyond one run of the script.
HISTORY = {
    "tiny-sd": """\
The released weights were trained on two CPU cores. Up to 96,000 images the latents had unit
variance, and up to 80,000 the bump of the training times at large t was missing; position was not
learnt until the latents were scaled to half (`zoo/training/autoencoder.py` says why).
`python -m zoo.train tiny-sd` trains with the final settings throughout, and goes on from its
checkpoint with a larger `--images`.

At the 256 tokens of this model token merging saves no time.""",
    "tiny-pixart": """\
A call has to say `use_resolution_binning=False`, because the bins of PixArt's resolutions end at
256 pixels; `max_sequence_length=20` spares 280 tokens of padding and changes nothing else
(`zoo.MODELS["tiny-pixart"]` holds these arguments).

The weights come from one run of `python -m zoo.train tiny-pixart --ranks 1` on one CPU core: first
with patches of two latent pixels (64 tokens), then, after the weights at both ends are folded,
with patches of one (`zoo/recipes.py` has the numbers).""",
    "tiny-portraits": """\
The weights come from `python -m zoo.train tiny-portraits --ranks 1` on one CPU core: first the
levels below the first one, on latents of half the size, then the whole UNet (`zoo/recipes.py` has
the numbers). In the captions of training 15 % of the attributes are named wrongly, and nothing is
said of many: the model needs its guidance and its steps.""",
}
# What the training images are, and where their parts come from.
DATA = {
    SHAPES.name: ("procedural captioned pictures", "shapes"),
    PORTRAITS.name: (
        "captioned pixel-art portraits, whose parts are those of the npm package\n"
        "@dicebear/pixel-art (designs by DiceBear, CC0 1.0)",
        "portraits",
    ),
}


def text(name: str, subject: Subject, figures: dict[str, Any], captions: list[str]) -> str:
    """README.md of the model.

    Args:
        name: of the model.
        subject: what it draws.
        figures: what `card.json` holds.
        captions: of the first row of the samples.
    """
    columns = [(f"guidance {g:g}", figures[f"guidance_{g:g}"]) for g in GUIDANCES]
    columns += [
        ("judge on real images", figures["judge_on_real"]),
        ("judge on reconstructed images", figures["judge_on_reconstructed"]),
        ("feature network on real images", figures["features_on_real"]),
    ]
    rows = [label for label in subject.groups if label not in subject.small]
    rows += list(subject.small)
    table = "\n".join(
        f"| {label.replace('_', ' ')}{' (small)' if label in subject.small else ''} | "
        + " | ".join(f"{100 * right[label]:.1f} %" for _, right in columns)
        + " |"
        for label in rows
    )
    first = "\n".join(f"- {caption}" for caption in captions)
    about, drawn = DATA[subject.name]
    size, side = subject.size, subject.size // 2
    again = f"python -m zoo.export {name} --images {figures['judged_images']}"
    return f"""# {name}

A text-to-image latent diffusion pipeline with {TOPOLOGY[name]}, trained from
scratch on {about}. Images are {size} x {size}, latents 4 x {side} x {side}, \
weights fp16, v-prediction. It exists to
try and test acceleration methods, and draws nothing but {drawn}.

Right answers of the judge, a classifier that is not the feature network, about \
{figures["judged_images"]} generated
images per guidance ({figures["steps"]} DDIM steps, captions that training did not choose):

| | {" | ".join(title for title, _ in columns)} |
| --- | {" | ".join("---" for _ in columns)} |
{table}

Autoencoder: {figures["autoencoder_psnr_db"]:.1f} dB. Training images: {figures["images_seen"]:,}.
All figures: `{again}`, kept in `card.json`.

![samples](samples.png)

First row of the samples, guidance 5:
{first}

![training curve](curve.png)

{HISTORY[name]}
"""
