"""Other autoencoders and textual inversions."""

from __future__ import annotations

from pathlib import Path

import diffusers
import pytest
import torch
from safetensors.torch import save_file

from accel.models.resolve import open_model
from strategies import StrategyError
from tests.support.models import original_layout as original
from tests.support.pipelines.transformer_pipelines import build as transformer


def test_another_autoencoder(folder: Path, tmp_path: Path) -> None:
    torch.manual_seed(2)
    tiny = diffusers.AutoencoderTiny(
        encoder_block_out_channels=(8, 8), decoder_block_out_channels=(8, 8),
        num_encoder_blocks=(1, 1), num_decoder_blocks=(1, 1), latent_channels=4,
    )  # fmt: skip
    tiny.save_pretrained(tmp_path / "tiny")
    pipe, _ = open_model(str(folder), "cpu", False, None, {"vae": str(tmp_path / "tiny")})
    assert type(pipe.vae).__name__ == "AutoencoderTiny"
    image = pipe("a circle", num_inference_steps=1, height=32, width=32, output_type="pt").images
    assert image.shape == (1, 3, 32, 32)
    other = transformer("flux").vae
    other.register_to_config(latent_channels=16)
    other.save_config(tmp_path / "wide")
    wide = diffusers.AutoencoderTiny(latent_channels=8)
    wide.save_pretrained(tmp_path / "wide")
    for path, said in (
        (tmp_path / "wide", "has 8 latent channels, and the model's own has 4"),
        (tmp_path / "none", "cannot be loaded"),
        (folder / "unet", "holds a UNet2DConditionModel, no autoencoder"),
    ):
        with pytest.raises(StrategyError, match=said):
            open_model(str(folder), "cpu", False, None, {"vae": str(path)})


def test_an_embedding_adds_a_word(folder: Path, tmp_path: Path) -> None:
    vector = torch.randn(64, generator=torch.Generator().manual_seed(4))
    file = tmp_path / "style.safetensors"
    save_file({"emb_params": vector}, file)
    chosen = [{"path": str(file), "token": "<style>"}]
    pipe, _ = open_model(str(folder), "cpu", False, None, {"embeddings": chosen})
    (token,) = pipe.tokenizer("<style>", add_special_tokens=False).input_ids
    assert torch.equal(pipe.text_encoder.get_input_embeddings().weight[token], vector)
    pipe, _ = open_model(str(folder), "cpu", False, None, {"embeddings": [str(file)]})
    assert len(pipe.tokenizer("style", add_special_tokens=False).input_ids) == 1
    save_file({"emb_params": vector[:8]}, file)
    with pytest.raises(StrategyError, match="does not fit this StableDiffusionPipeline"):
        open_model(str(folder), "cpu", False, None, {"embeddings": chosen})


def test_an_embedding_for_two_encoders(tmp_path: Path) -> None:
    original.tiny_xl().save_pretrained(tmp_path / "xl")
    file = tmp_path / "style.safetensors"
    save_file({"clip_l": torch.ones(1, 32), "clip_g": torch.ones(1, 64)}, file)
    chosen = [{"path": str(file), "token": "<style>"}]
    pipe, _ = open_model(str(tmp_path / "xl"), "cpu", False, None, {"embeddings": chosen})
    for end in ("", "_2"):
        words, encoder = getattr(pipe, f"tokenizer{end}"), getattr(pipe, f"text_encoder{end}")
        (token,) = words("<style>", add_special_tokens=False).input_ids
        assert encoder.get_input_embeddings().weight[token].eq(1).all()
    save_file({"<style>": torch.ones(32)}, file)
    with pytest.raises(StrategyError, match="has one matrix"):
        open_model(str(tmp_path / "xl"), "cpu", False, None, {"embeddings": chosen})
