"""YAML files within limits: what aliases stand for is counted, whatever cannot be is one line."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from accel.models.config import read_model
from search import config
from strategies import StrategyError
from strategies.data_files.configs import read_config
from strategies.data_files.limits import MAX_YAML_BYTES
from strategies.data_files.yaml_files import from_yaml, read_yaml
from tests.support.paths import ROOT


def doubled(levels: int, sign: str = "- [*a{0}, *a{0}]") -> str:
    """Each line stands for twice the line before."""
    lines = ["a0: &a0 [x, x]"]
    lines += [f"a{n}: &a{n}\n  " + sign.format(n - 1) for n in range(1, levels)]
    return "\n".join(lines)


HEAVY = {
    "aliases of lists": doubled(40),
    "aliases of mappings": doubled(40, "{{b: *a{0}, c: *a{0}}}"),
    "aliases that are merged": "a0: &a0 {x: 1}\n"
    + "\n".join(f"a{n}: &a{n} {{<<: [*a{n - 1}, *a{n - 1}], y{n}: 1}}" for n in range(1, 40)),
    "an alias of what holds it": "&a [*a]",
    "an alias deep below what holds it": "&a {b: {c: [*a]}}",
    "lists in lists": "[" * 20_000,
    "mappings in mappings": "{a: " * 5_000,
    "blocks in blocks": "\n".join(" " * n + "a:" for n in range(300)),
    "sequences in sequences": "- " * 10_000,
    "many values": "[" + "a," * 15_000 + "]",
    "a number of many digits": "a: " + "9" * 30_000,
    "a number of many parts": "a: 1" + ":59" * 10_000,
    "a float of many digits": "a: 0." + "9" * 30_000,
    "no date": "a: 2026-13-45",
    "half a character": 'a: "\\ud800"',
    "a long text": "a: " + "x" * 25_000,
    "larger than the limit": "# " + "x" * MAX_YAML_BYTES,
    "an object of Python's": "!!python/object/apply:os.getcwd []",
    "a control character": "a: \x00",
    "an entry given twice": "a: 1\nb: 2\na: 3",
    "not closed": "knobs: [\n  - }\n\tx",
    "two documents": "a: 1\n---\na: 2",
    "infinite": "a: .inf",
    "a list as a name": "? [a]\n: 1",
}


@pytest.mark.parametrize("kind", HEAVY)
def test_each_kind_is_one_line(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "space.yaml"
    path.write_text(HEAVY[kind])
    with pytest.raises(StrategyError) as caught:
        read_yaml(path)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 500
    assert "space.yaml" in str(caught.value)


def test_every_reader_of_yaml_has_the_limits(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(doubled(40))
    for read in (
        lambda: read_config("spaces", str(path)),
        lambda: read_model(str(path)),
        lambda: config.read_search_config(tmp_path),
        lambda: config.resolve("tiny-sd", {"space": str(path)}),
    ):
        with pytest.raises(StrategyError, match="with its aliases written out"):
            read()
    root = ROOT
    for package in ("strategies", "accel", "evaluate", "search", "zoo", "benchmarks"):
        for source in (root / package).rglob("*.py"):
            if source.name != "yaml_files.py":
                assert ".safe_load" not in source.read_text(), source
                assert "yaml.load" not in source.read_text(), source


def test_what_aliases_stand_for_is_read_where_it_is_small() -> None:
    assert from_yaml("a: &a [1, 2]\nb: *a\nc: {<<: {d: 1}, e: *a}") == {
        "a": [1, 2],
        "b": [1, 2],
        "c": {"d": 1, "e": [1, 2]},
    }
    assert from_yaml("") is None
    assert len(from_yaml(doubled(9))) == 9


@settings(deadline=None, max_examples=200)
@given(st.text(st.sampled_from("ab:1-[]{},&*!?|> \n\t'\"#%@<.~\\"), max_size=60))
def test_any_text_is_read_or_one_line(text: str) -> None:
    line = ""
    try:
        data = from_yaml(text)
    except StrategyError as error:
        line = str(error)
    assert line.isprintable()
    if not line:
        assert data == yaml.safe_load(text)
