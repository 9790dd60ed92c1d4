"""Places of what an export writes: files of shapes are where they were, others in folders."""

from __future__ import annotations

from pathlib import Path

import pytest

from evaluate.images.prompts import load_prompts
from zoo import export, networks_folder
from zoo.subjects import PORTRAITS, SHAPES


def test_prompt_lists_are_found_by_the_names_in_configs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = networks_folder

    def folder(subject: str = "shapes") -> Path:
        return tmp_path / own(subject).relative_to(own().parent)

    monkeypatch.setattr(export, "networks_folder", folder)
    (tmp_path / "prompts").mkdir()
    export.write_prompts(SHAPES)
    export.write_prompts(PORTRAITS)
    shipped = load_prompts("zoo:heldout", 0).texts
    assert (tmp_path / "prompts" / "heldout.txt").read_text().splitlines() == list(shipped)
    written = (tmp_path / "prompts" / "portraits" / "search.txt").read_text().splitlines()
    assert len(written) == 512
    assert all((PORTRAITS.parse(text) >= 0).any() for text in written)
