#!/usr/bin/env bash
# diffusers 0.42.1: SD3ControlNetModel.from_transformer writes into the settings of the transformer
# that it is given.
#
# A good guess: the transformer is only read, as ControlNetModel.from_unet and
# FluxControlNetModel.from_transformer read theirs.
# Seen: config["num_layers"] then is that of the ControlNet, while config.num_layers is as before.
# The blocks are still there, so that the pipeline generates as before. Once saved, the transformer
# cannot be loaded: the block that counts as the last one by the settings has other shapes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet torch==2.14.1 diffusers==0.42.1 \
    transformers==5.24.0 accelerate
cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
import diffusers
import torch

torch.manual_seed(0)
made = diffusers.SD3Transformer2DModel(
    sample_size=8, patch_size=2, in_channels=4, out_channels=4, num_layers=3,
    attention_head_dim=8, num_attention_heads=2, joint_attention_dim=16,
    caption_projection_dim=16, pooled_projection_dim=16, pos_embed_max_size=8,
).eval()
given = {
    "hidden_states": torch.randn(1, 4, 8, 8), "encoder_hidden_states": torch.randn(1, 3, 16),
    "pooled_projections": torch.randn(1, 16), "timestep": torch.tensor([500.0]),
}
with torch.no_grad():
    before = made(**given).sample
diffusers.SD3ControlNetModel.from_transformer(made, num_layers=2)
with torch.no_grad():
    assert torch.equal(made(**given).sample, before)
layers = made.config["num_layers"], made.config.num_layers
print("blocks:", len(made.transformer_blocks), "settings say:", layers)
assert len(made.transformer_blocks) == 3
assert layers == (2, 3)
made.save_pretrained("saved")
try:
    diffusers.SD3Transformer2DModel.from_pretrained("saved")
    raise SystemExit("it was loaded")
except ValueError as error:
    print(str(error)[:120])
    assert "transformer_blocks.1.norm1_context.linear.bias expected shape" in str(error)
print("as described")
PYTHON
