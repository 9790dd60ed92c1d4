"""Files of a transformer alone, put on the other parts of a base."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.support.models import original_layout as original
from tests.support.models.opened_models import opened, refused
from tests.support.pipelines.transformer_pipelines import build as transformer
from tests.support.pipelines.transformer_pipelines import draw as draw_transformer


@pytest.mark.parametrize("prefix", ["", original.UNET])
def test_a_transformer_alone_is_put_on_its_base(prefix: str, tmp_path: Path) -> None:
    pipe = transformer("sd3")
    base = original.base_of(pipe, tmp_path / "base", weighty=True)
    file = original.write(original.sd3(pipe.transformer, prefix), tmp_path / "t.safetensors")
    want = draw_transformer(pipe, steps=2)
    assert torch.equal(want, draw_transformer(opened(file, base), steps=2))
    own = {f"transformer.{key}": value for key, value in pipe.transformer.state_dict().items()}
    file = original.write(own, tmp_path / "own.safetensors")
    assert torch.equal(want, draw_transformer(opened(file, base), steps=2))
    del own["transformer.proj_out.bias"]
    line = refused(original.write(own, tmp_path / "less.safetensors"), base)
    assert "lacks proj_out.bias" in line
    own |= {"transformer.more": torch.ones(1), "transformer.proj_out.bias": torch.ones(16)}
    line = refused(original.write(own, tmp_path / "more.safetensors"), base)
    assert "has no place for more" in line


def test_scales_of_8_bit_weights_are_multiplied(tmp_path: Path) -> None:
    pipe = transformer("sd3")
    base = original.base_of(pipe, tmp_path / "base", weighty=True)
    plain = original.sd3(pipe.transformer, "")
    scaled: dict[str, torch.Tensor] = {}
    for key, value in plain.items():
        if value.ndim == 2 and key.startswith("joint_blocks."):
            scale = value.abs().max() / 448
            plain[key] = (value / scale).to(torch.float8_e4m3fn).float() * scale
            scaled[key] = (value / scale).to(torch.float8_e4m3fn)
            scaled[f"{key.removesuffix('.weight')}.scale_weight"] = scale.reshape(1)
        else:
            scaled[key] = value
    scaled["scaled_fp8"] = torch.zeros(2, dtype=torch.float8_e4m3fn)
    first = opened(original.write(plain, tmp_path / "plain.safetensors"), base)
    second = opened(original.write(scaled, tmp_path / "scaled.safetensors"), base)
    assert torch.equal(draw_transformer(first, steps=2), draw_transformer(second, steps=2))
    name = next(key for key in scaled if key.endswith(".scale_weight"))
    blocks = scaled | {name: torch.ones(4, 4)}
    assert "a form that is not known" in refused(
        original.write(blocks, tmp_path / "blocks.safetensors"), base
    )
