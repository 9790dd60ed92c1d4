"""Prompts from every form of file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from evaluate.images import prompts
from strategies import StrategyError


def test_prompts_from_every_form(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one\n\n  two  words \n")
    assert prompts.load_prompts(str(tmp_path / "a.txt"), 2).texts == ("one", "two words")
    (tmp_path / "parti.tsv").write_text('Prompt\tCategory\na "quoted" cat\tAnimals\nb\tX\n')
    assert prompts.load_prompts(str(tmp_path / "parti.tsv"), 2).texts == ('a "quoted" cat', "b")
    rows = [(7, 2, "later"), (7, 1, "first"), (3, 9, "other")]
    data = {"annotations": [{"image_id": i, "id": n, "caption": c} for i, n, c in rows]}
    (tmp_path / "coco.json").write_text(json.dumps(data))
    assert prompts.load_prompts(str(tmp_path / "coco.json"), 2).texts == ("other", "first")
    (tmp_path / "list.json").write_text('["x", "y"]')
    assert prompts.load_prompts(str(tmp_path / "list.json"), 2).texts == ("x", "y")
    for name, text, said in (
        ("bad.tsv", "Category\nx\n", "no column Prompt"),
        ("bad.json", '{"captions": []}', "annotations"),
        ("worse.json", "[1, 2]", "not texts"),
        ("empty.txt", "\n\n", "no line of text"),
    ):
        (tmp_path / name).write_text(text)
        with pytest.raises(StrategyError, match=said):
            prompts.load_prompts(str(tmp_path / name), 2)
    with pytest.raises(StrategyError, match="give imagenet, zoo:search"):
        prompts.load_prompts("nowhere.txt", 2)


def test_imagenet_prompts_are_the_papers() -> None:
    found = prompts.load_prompts("imagenet", 2)
    assert len(found.texts) == len(set(found.seeds)) == 2000
    assert sorted(found.labels) == sorted([*range(1000)] * 2)
    index = found.labels.index(1)
    assert found.texts[index] == "A high quality photograph of a goldfish."
    assert len(set(found.labels[:1000])) == 1000
    assert found.first(5).seeds == prompts.load_prompts("imagenet", 2).seeds[:5]
    assert not set(found.seeds) & set(found.reseeded(3).seeds)
