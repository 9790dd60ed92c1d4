"""What the table of a comparison says besides its numbers, and its rows in a CSV."""

from __future__ import annotations

import pytest

from evaluate.comparison_table import flat_rows, reasons, strategy_title
from evaluate.verdicts import ENOUGH, Verdict, judge_changes

MARGINS = {"fd_real": 6.0, "right_colour": 0.02}
FINE = {"fd_real": [1.0, -2.0, 4.0], "right_colour": [0.0, -0.01, 0.01]}


def test_a_reason_that_scores_share_is_said_once() -> None:
    few = judge_changes(FINE, MARGINS, ENOUGH - 1)
    (line,) = few.reasons
    assert line.count("are needed") == 1
    assert all(name in line for name in FINE)
    wide = {"fd_real": [1.0, -5.0, 7.0], "right_colour": [-0.01, -0.04, 0.02]}
    (line,) = judge_changes(wide, MARGINS, 96).reasons
    assert line.count("a larger loss is not ruled out") == 1
    assert line.index("fd_real") < line.index("right_colour") < line.index("a larger")
    mixed = judge_changes(FINE | {"right_colour": None}, MARGINS, ENOUGH - 1)  # type: ignore[dict-item]
    assert len(mixed.reasons) == 2
    told = {"rows": [{"name": "a.json", "verdict": few.to_json()}]}
    (said,) = reasons(told)
    assert said.startswith("a, no loss not shown: ")
    assert said.count("are needed") == 1
    (row,) = flat_rows(told)
    assert (row["no_loss"], row["why"]) == ("not shown", line_of(few))
    assert "verdict" not in row


def line_of(found: Verdict) -> str:
    return "; ".join(found.reasons)


@pytest.mark.parametrize(
    ("name", "title"),
    [("tome-0.5", "tome-0.5"), ("runs/one/best.json", "best"), ("runs/v0.2", "v0.2")],
)
def test_the_table_names_strategies_whole(name: str, title: str) -> None:
    assert strategy_title(name) == title
