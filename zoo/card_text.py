"""Text of a model card."""

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
256 tokens, one adaLN shared by all, cross-attention, T5 text encoder, tiny-sd's KL autoencoder,
untrained channels of the learned variance)""",
    "tiny-portraits": """\
Stable Diffusion's topology (4 levels x 1 layer,
8 skip positions, self- and cross-attention on the first and third level, 1,024 tokens on the first,
CLIP text encoder, KL autoencoder)""",
}
# Its call, and the history of the released weights beyond one run of the script.
HISTORY = {
    "tiny-sd": """\
The released weights were trained on two CPU cores, with two changes of settings on the way:

- Up to 96,000 images the latents had unit variance. Position was not learnt until the latents were
  scaled to half (`zoo/training/autoencoder.py` says why).
- Up to 80,000 images the bump of the training times at large t was missing.

`python -m zoo.train tiny-sd` trains with the final settings throughout. With a larger `--images` it
continues from its checkpoint.

At the 256 tokens of this model token merging saves no time.""",
    "tiny-pixart": """\
A call needs `use_resolution_binning=False`, because the bins of PixArt's resolutions end at 256
pixels. `max_sequence_length=20` saves 280 tokens of padding and changes nothing else.
`zoo.MODELS["tiny-pixart"]` holds these arguments.

The weights come from one run of `python -m zoo.train tiny-pixart --ranks 1` on one CPU core. The
first part has patches of two latent pixels (64 tokens). Then the weights at both ends are folded,
and the second part has patches of one (`zoo/recipes.py` has the numbers).""",
    "tiny-portraits": """\
The weights come from `python -m zoo.train tiny-portraits --ranks 1` on one CPU core. The levels
below the first one are trained first, on latents of half the size, then the whole UNet
(`zoo/recipes.py` has the numbers). In the captions of training 15 % of the attributes are wrong,
and many are not mentioned. The training was not repeated.

Position, mouth and pattern are not learnt: they are right about as often as by chance. The prompt
lists do not name them.""",
}
# Training images with the source of their parts, and their subject.
DATA = {
    SHAPES.name: ("procedural captioned pictures", "shapes"),
    PORTRAITS.name: (
        "captioned pixel-art portraits, whose parts are those of the npm package\n"
        "@dicebear/pixel-art (designs by DiceBear, CC0 1.0)",
        "portraits",
    ),
}


def card_text(name: str, subject: Subject, figures: dict[str, Any], captions: list[str]) -> str:
    """README.md of the model.

    Args:
        name: name of the model.
        subject: subject of its images.
        figures: content of `card.json`.
        captions: captions of the first row of the samples.
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
    about, shown = DATA[subject.name]
    size, side = subject.size, subject.size // 2
    again = f"python -m zoo.export {name} --images {figures['judged_images']}"
    return f"""# {name}

A text-to-image latent diffusion pipeline with {TOPOLOGY[name]}.
It was trained from scratch on {about}. Images are {size} x {size}, latents 4 x {side} x {side},
weights fp16, v-prediction. The model exists to try and test acceleration methods. It generates
only {shown}.

The table has the right answers of the judge about {figures["judged_images"]} generated images per
guidance. The judge is a classifier that is not the feature network. The images have
{figures["steps"]} DDIM steps, and captions that training did not choose:

| | {" | ".join(title for title, _ in columns)} |
| --- | {" | ".join("---" for _ in columns)} |
{table}

Autoencoder: {figures["autoencoder_psnr_db"]:.1f} dB. Training images: {figures["images_seen"]:,}.
The command `{again}` measures all of this, and `card.json` keeps it.

![samples](samples.png)

First row of the samples, guidance 5:

{first}

![training curve](curve.png)

{HISTORY[name]}
"""
