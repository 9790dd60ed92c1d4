"""The table of transformers in docs/models.md: complete, measured and current."""

from __future__ import annotations

import json

from tests.support.pipelines.stack_table import DOCS, RESULT, classes, table

LEAST = 57  # Of the transformers that diffusers has test models of.


def test_the_table_is_of_the_result() -> None:
    """A new result or a new diffusers asks for `python -m tests.support.pipelines.stack_table`."""
    assert table() in DOCS.read_text("utf-8")


def test_every_transformer_of_diffusers_has_a_row() -> None:
    rows = table().splitlines()[2:]
    assert {row.split()[1] for row in rows} >= set(classes())


def test_almost_all_are_supported() -> None:
    measured = json.loads(RESULT.read_text("utf-8"))["models"]
    assert sum("fails" not in one for one in measured.values()) >= LEAST
    assert all(one.get("fails", "a reason") for one in measured.values())
