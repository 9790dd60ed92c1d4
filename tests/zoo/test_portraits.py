"""The portraits: their parts, captions, drawings; which are a function of their seed."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from strategies import StrategyError
from tests.support import portraits_package
from zoo import tiny_portraits
from zoo.portraits import captions, package, words
from zoo.portraits.captions import NAMES
from zoo.portraits.data import Portraits, sample_captions, sample_labels, sample_prompts
from zoo.portraits.drawing import CELL, Painter

COUNT = 400


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> package.Parts:
    return package.read(portraits_package.archive(tmp_path_factory.mktemp("npm")))


def column(name: str) -> int:
    return NAMES.index(name)


def filled(outline: str, **attributes: str) -> set[tuple[int, int]]:
    more = " ".join(f'{key.replace("_", "-")}="{value}"' for key, value in attributes.items())
    (layer,) = package._layers(f'<path d="{outline}" fill="#fff" {more}/>')
    rows, columns = np.nonzero(layer.cells)
    return set(zip(columns.tolist(), rows.tolist(), strict=True))


def test_outlines_become_cells() -> None:
    assert filled("M2 1h2v1H2z") == {(2, 1), (3, 1)}
    assert filled("m2 1 2 0 0 1-2 0Z") == {(2, 1), (3, 1)}
    assert filled("M1 1H2V2H1ZM4 0h1v1H4Z") == {(1, 1), (4, 0)}
    ring = "M0 0h3v3H0ZM1 1h1v1H1Z"
    assert len(filled(ring)) == 9
    assert len(filled(ring, fill_rule="evenodd")) == 8
    # Drawn the other way round, an inner outline is a hole by itself.
    assert len(filled("M0 0h3v3H0ZM1 1v1h1V1Z")) == 8
    with pytest.raises(ValueError, match="slanted"):
        filled("M0 0L3 3H0Z")


def test_groups_opacities_and_masks_are_read() -> None:
    one, two = package._layers(
        '<g fill="${escape.xml(`${colors.hair}`)}"><path d="M0 0h1v1H0z"/></g>'
        '<path fill="#0a0" fill-opacity=".3" d="M1 0h1v1H1z"/>'
    )
    assert (one.colour, one.opacity) == ("hair", 1.0)
    assert (two.colour, two.opacity) == ("#00aa00", 0.3)
    base, light = package._layers(
        '<mask id="m"><path opacity=".9" d="M3 9h2v1H3z"/></mask>'
        '<g mask="url(#m)"><path fill="${escape.xml(`${colors.hair}`)}" d="M0 0h16v16H0z"/>'
        '<path fill="#fff" fill-opacity=".3" d="M0 0h16v16H0z"/></g>'
    )
    assert base.cells.sum() == light.cells.sum() == 2
    assert (base.opacity, light.opacity) == (0.9, pytest.approx(0.27))


def test_archive_and_folder_hold_the_same_parts(tmp_path: Path) -> None:
    one = package.read(portraits_package.archive(tmp_path))
    other = package.read(tmp_path / "package")
    assert one.keys() == other.keys() == set(package.KINDS)
    for kind, variants in one.items():
        for name, layers in variants.items():
            for first, second in zip(layers, other[kind][name], strict=True):
                assert (first.cells == second.cells).all()


@pytest.mark.parametrize("fault", ["missing", "empty", "other", "cut"])
def test_what_is_not_the_package_is_one_line(fault: str, tmp_path: Path) -> None:
    path = portraits_package.archive(tmp_path)
    if fault == "missing":
        path = tmp_path / "nothing.tgz"
    elif fault == "empty":
        path = tmp_path / "folder"
        path.mkdir()
    elif fault == "other":
        path.write_text("not an archive")
    else:
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(StrategyError, match=r"pixel-art 9\.4\.3") as error:
        package.read(path)
    assert "\n" not in str(error.value)


def test_captions_say_what_is_parsed_again() -> None:
    rng = np.random.default_rng(0)
    for row in sample_labels(COUNT, rng):
        text, said = captions.sample(row, rng, 0.0)
        assert (captions.parse(text) == said).all(), text
        assert ((said == -1) | (said == row)).all(), text
        assert captions.count_words(text) <= captions.MAX_WORDS
    assert (captions.parse(captions.EXAMPLE) >= 0).sum() == 6
    for bad in ("", "a cat", captions.EXAMPLE + " with three ears"):
        with pytest.raises(StrategyError, match="not a caption of a portrait"):
            captions.parse(bad)


def test_no_clause_means_two_things() -> None:
    """Each clause is written by one value, so that reading it is unambiguous."""
    said: dict[str, dict[str, str]] = {}
    for name, values in captions.KINDS.items():
        for value, wordings in values.items():
            for wording in wordings:
                clause = wording.format("")
                assert said.setdefault(clause, {name: value}) == {name: value}
                assert captions.CLAUSES[clause] == {name: value}


def test_mistakes_are_as_frequent_as_asked() -> None:
    rng = np.random.default_rng(0)
    wrong = named = 0
    for row in sample_labels(2 * COUNT, rng):
        _, said = captions.sample(row, rng, captions.MISTAKES)
        wrong += int(((said >= 0) & (said != row)).sum())
        named += int((said >= 0).sum())
    # Absence is never named wrongly; five standard errors.
    share = captions.MISTAKES
    assert abs(wrong / named - share) <= 0.03 + 5 * (share * (1 - share) / named) ** 0.5


def test_every_value_is_named_and_left_out() -> None:
    said = np.stack([captions.parse(text) for text in sample_captions(4000, 1)])
    for index, name in enumerate(NAMES):
        assert set(said[:, index]) == {-1, *range(len(words.VALUES[name]))}, name


def test_prompts_name_only_what_the_model_has_learnt() -> None:
    said = np.stack([captions.parse(text) for text in sample_prompts(2000, 1)])
    for index, name in enumerate(NAMES):
        known = {-1} if name in words.NOT_LEARNT else {-1, *range(len(words.VALUES[name]))}
        assert set(said[:, index]) == known, name


def test_what_is_hidden_has_no_label() -> None:
    rows = sample_labels(4000, np.random.default_rng(0))
    hat, hair = rows[:, column("hat")] > 0, rows[:, column("hair")]
    long = [words.VALUES["hair"].index(value) for value in words.LONG]
    assert np.isin(hair[hat], [-1, *long]).all()
    assert (rows[np.isin(hair, long), column("earrings")] == 0).all()
    assert (rows[rows[:, column("glasses")] == 0, column("glasses_colour")] == -1).all()
    assert (rows[hair <= 0, column("hair_colour")] == -1).all()


def test_portraits_are_a_function_of_their_seed(parts: package.Parts) -> None:
    source = Portraits(parts)
    one, two, other = (source.sample(20, seed, 0.15) for seed in (5, 5, 6))
    assert (one.images == two.images).all()
    assert one.captions == two.captions
    assert (one.labels == two.labels).all()
    assert not (one.images == other.images).all()
    assert one.images.shape == (20, 64, 64, 3)
    assert one.images.dtype == np.float32
    assert sample_captions(20, 5) == source.sample(20, 5).captions


def test_colours_of_the_picture_are_those_of_the_labels(parts: package.Parts) -> None:
    labels = sample_labels(COUNT, np.random.default_rng(1))
    labels[:, column("position")] = 1
    images = Painter(parts).draw(labels, np.random.default_rng(2))
    cells = images[:, ::CELL, ::CELL]
    assert (cells.repeat(CELL, 1).repeat(CELL, 2) == images).all()
    for name, where in (("clothing_colour", "clothing"), ("hat_colour", "hat")):
        x, y, width, height = portraits_package.PLACES[where]
        # In the middle of the part, wherever it moved: a cell down, one to either side.
        middle = cells[:, y + height // 2 if where == "hat" else y + height - 1, x + width // 2]
        for value, shades in words.COLOURS[name].items():
            rows = labels[:, column(name)] == words.VALUES[name].index(value)
            for pixel in middle[rows]:
                wanted = [[int(s[i : i + 2], 16) / 255 for i in (1, 3, 5)] for s in shades]
                assert min(np.abs(pixel - w).max() for w in wanted) <= 0.12, (name, value)


def test_figures_stand_where_the_label_says(parts: package.Parts) -> None:
    labels = sample_labels(300, np.random.default_rng(3))
    # A plain corner to compare with; the row of the ears tells where the head is.
    labels[:, [column("pattern"), column("hat")]] = 0
    images = Painter(parts).draw(labels, np.random.default_rng(4))[:, ::CELL, ::CELL]
    figure = np.abs(images[:, 8] - images[:, 0, :1]).max(-1) > 0.01
    middle = (figure * np.arange(16)).sum(1) / figure.sum(1)
    for index, (low, high) in enumerate(((4, 6), (6.4, 8.6), (9, 11))):
        chosen = middle[labels[:, column("position")] == index]
        assert len(chosen) > 50
        assert low <= chosen.min()
        assert chosen.max() <= high


def test_every_word_is_one_token() -> None:
    tokens = tiny_portraits.tokenizer()
    for text in sample_captions(COUNT, 3):
        ids = tokens(text).input_ids
        assert len(ids) == captions.count_words(text) + 2 <= tiny_portraits.MAX_TOKENS


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("npm") is None, reason="needs npm")
def test_the_published_package_has_every_part(tmp_path: Path) -> None:
    """Downloads 11 kB."""
    found = package.read(package.fetch(tmp_path))
    for kind, variants in words.VARIANTS.values():
        for names in variants.values():
            assert set(names) <= set(found[kind])
    assert set(words.EYES) <= set(found["eyes"])
    images = Portraits(found).sample(64, 0).images
    assert len(np.unique(images.reshape(64, -1), axis=0)) == 64
