"""Prompt files and reference folders as they lie about: read right, or refused in one line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from evaluate.images import prompts, references
from evaluate.networks import Networks
from strategies import StrategyError

TWO = ("a red circle", "a blue ring")
LISTS: dict[str, tuple[str, str | bytes, tuple[str, ...]]] = {
    "a byte order mark and Windows' line ends": (
        "a.txt",
        "\ufeffa red circle\r\na blue ring\r\n",
        TWO,
    ),
    "UTF-16 as Windows' editor calls Unicode": (
        "a.txt",
        "a red circle\r\na blue ring".encode("utf-16"),
        TWO,
    ),
    "UTF-16, the other end first": (
        "a.txt",
        b"\xfe\xff" + "a red circle\na blue ring".encode("utf-16-be"),
        TWO,
    ),
    "old line ends": ("a.txt", "a red circle\ra blue ring\r", TWO),
    "two marked files as one": ("a.txt", "\ufeffa red circle\n\ufeffa blue ring\n", TWO),
    "a separator of paragraphs within a line": ("a.txt", "a red\u2028circle\na blue ring", TWO),
    "a marked table": (
        "a.tsv",
        "\ufeffPrompt\tCategory\r\na red circle\tx\r\na blue ring\ty\r\n",
        TWO,
    ),
    "a spreadsheet's table with tabs": (
        "a.tsv",
        'Prompt\tNote\r\n"a red circle, small"\tx\r\n"say ""hi"""\ty\r\n',
        ("a red circle, small", 'say "hi"'),
    ),
    "a table with quotes as they are": (
        "a.tsv",
        'Prompt\tNote\n"hi" on a sign\tx\na "new"\ty\n',
        ('"hi" on a sign', 'a "new"'),
    ),
    "a table with commas": (
        "a.csv",
        'id,caption\n1,"a red circle, small"\n2,a blue ring\n',
        ("a red circle, small", "a blue ring"),
    ),
    "a cell of two lines": ("a.csv", 'prompt\n"a red\ncircle"\na blue ring\n', TWO),
    "semicolons": ("a.csv", "id;Text\n1;a red circle\n2;a blue ring\n", TWO),
    "a named separator": (
        "a.csv",
        "sep=|\r\nid|PROMPTS\r\n1|a red circle\r\n2|a blue ring\r\n",
        TWO,
    ),
    "rows that are short or empty": (
        "a.csv",
        "id,prompt\n1,a red circle\n\n2\n3,a blue ring\n",
        TWO,
    ),
    "objects line by line": (
        "a.jsonl",
        '{"prompt": "a red circle"}\n\n{"id": 2, "prompt": "a blue ring"}\n',
        TWO,
    ),
    "texts line by line": ("a.jsonl", '"a red circle"\r\n"a blue ring"\r\n', TWO),
    "objects in a list": ("a.json", '[{"text": "a red circle"}, {"text": "a blue ring"}]', TWO),
    "captions of images with a mark": (
        "a.json",
        '\ufeff{"annotations": [{"image_id": 1, "id": 1, "caption": "a red circle"},'
        '{"image_id": 2, "id": 2, "caption": "a blue ring"}]}',
        TWO,
    ),
}
REFUSED: dict[str, tuple[str, str | bytes, str]] = {
    "a code page": (
        "a.txt",
        "ein Bär\nein grüner Würfel".encode("cp1252"),
        "line 1 has the byte 0xe4",
    ),
    "a workbook": ("a.xlsx", b"PK\x03\x04\x14\x00", "save it as CSV"),
    "a workbook that is called a table": ("a.csv", b"PK\x03\x04\x14\x00", "save it as CSV"),
    "bytes": ("a.txt", b"a\0b\n", "holds a character that is no text"),
    "half a character": ("a.jsonl", '{"prompt": "\\ud83d"}', "holds a character that is no text"),
    "a table without the column": ("a.csv", "id,words\n1,x\n", "no column Prompt, Caption or Text"),
    "an empty table": ("a.csv", "", "no column Prompt"),
    "a table's head alone": ("a.tsv", "\ufeffPrompt\tCategory\n", "hold no line of text"),
    "a cell without end": ("a.csv", 'prompt\n"' + "x" * 200_000 + "\n", "as a table"),
    "another object": ("a.jsonl", '{"prompt": "x"}\n{"words": "y"}\n', "line 2: must be a text or"),
    "a prompt that is a number": ("a.json", '[{"prompt": 3}]', "must be a list of texts"),
    "a tower of lists": ("a.json", "[" * 100_000, "must be a list of texts"),
    "blank lines": ("a.txt", " \r\n\t\r\n", "hold no line of text"),
}


def written(folder: Path, name: str, content: str | bytes) -> str:
    data = content.encode("utf-8") if isinstance(content, str) else content
    (folder / name).write_bytes(data)
    return str(folder / name)


@pytest.mark.parametrize("kind", LISTS)
def test_prompt_files_are_read_as_they_are_meant(kind: str, tmp_path: Path) -> None:
    name, content, expected = LISTS[kind]
    assert prompts.load_prompts(written(tmp_path, name, content), 0).texts == expected


@pytest.mark.parametrize("kind", REFUSED)
def test_prompt_files_that_cannot_be_read_are_one_line(kind: str, tmp_path: Path) -> None:
    name, content, message = REFUSED[kind]
    with pytest.raises(StrategyError, match=message) as told:
        prompts.load_prompts(written(tmp_path, name, content), 0)
    assert "\n" not in str(told.value)


def test_a_folder_and_a_missing_file_are_no_prompts(tmp_path: Path) -> None:
    for source in (tmp_path, tmp_path / "none.txt"):
        with pytest.raises(StrategyError, match=r"\.csv, \.json or \.jsonl file"):
            prompts.load_prompts(str(source), 0)


def pictures(folder: Path, count: int = 2, value: int = 99) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(count):
        Image.fromarray(np.full((8, 8, 3), value, np.uint8)).save(folder / f"{index}.png")
    return folder


def means(folder: Path, per_folder: int | None = None) -> list[float]:
    references.check_reference(str(folder), per_folder)
    side = references.read_reference(str(folder), Networks(), per_folder)
    return [round(float(image.mean()), 1) for image in side.images()]


GREY = np.linspace(0, 2**16 - 1, 64).reshape(8, 8)


@pytest.mark.parametrize(
    ("name", "pixels"),
    [
        ("z.png", GREY.astype(np.uint16)),
        ("z.tif", GREY.astype(np.uint16)),
        ("z.tif", GREY.astype(np.int32)),
        ("z.pgm", GREY.astype(np.int32)),
    ],
)
def test_grey_of_sixteen_bits_keeps_its_brightness(name: str, pixels: Any, tmp_path: Path) -> None:
    Image.fromarray(pixels).save(pictures(tmp_path / "r") / name)
    side = references.read_reference(str(tmp_path / "r"), Networks())
    *_, last = side.images()
    expected = np.round(GREY.astype(np.uint16) / 257)
    np.testing.assert_array_equal(last, np.repeat(expected[:, :, None], 3, axis=2))
    assert "1 of 16 bits" in side.name  # Its features are not those of former readings.


def test_what_lies_about_in_a_folder_is_left_or_followed(tmp_path: Path) -> None:
    folder = pictures(tmp_path / "r")
    (folder / "frames.png").mkdir()
    (folder / "notes.txt").write_text("no image")
    (folder / "._0.png").write_bytes(b"\0\5\x16\7")
    pictures(folder / ".ipynb_checkpoints", value=1)
    pictures(folder / "__MACOSX", value=2)
    pictures(folder / "deep" / "deeper", value=50)
    (folder / "linked").symlink_to(pictures(tmp_path / "elsewhere", value=70))
    (folder / "deep" / "up").symlink_to(folder)
    assert sorted(means(folder)) == [50, 50, 70, 70, 99, 99]
    assert sorted(means(folder, per_folder=1)) == [50, 70, 99]


def no_picture(path: Path) -> None:
    path.write_bytes(b"no picture")


def cut(path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)
    path.write_bytes(path.read_bytes()[:2000])


def floating(path: Path) -> None:
    Image.fromarray(np.ones((8, 8), np.float32)).save(path)


def link(path: Path) -> None:
    path.symlink_to(path.with_name("nowhere.png"))


@pytest.mark.parametrize(
    ("name", "make", "at_once"),
    [
        ("z.png", no_picture, True),
        ("z.png", cut, True),
        ("z.jpg", cut, False),  # A JPEG has no checksum: only reading all of it shows the end.
        ("z.tif", floating, False),
        ("z.png", link, True),
        ("z.gif.webp", no_picture, True),
    ],
)
def test_broken_images_are_one_line_with_their_name(
    name: str, make: Any, at_once: bool, tmp_path: Path
) -> None:
    folder = pictures(tmp_path / "r")
    make(folder / name)
    with pytest.raises(StrategyError, match=name) as told:
        references.check_reference(str(folder)) if at_once else means(folder)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    "content",
    [
        b"PK\x03\x04 torn",
        b"",
        b"\x93NUMPY",
        {"mu": np.zeros(3)},
        {"mu": np.zeros(3), "sigma": np.eye(4)},
        {"mu": np.full(3, np.nan), "sigma": np.eye(3)},
        {"mu": np.array(["a", "b"]), "sigma": np.eye(2)},
        np.zeros(3),
    ],
)
def test_torn_statistics_are_one_line(content: Any, tmp_path: Path) -> None:
    path = tmp_path / "r.npz"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif isinstance(content, dict):
        np.savez(path, **content)
    else:
        with path.open("wb") as file:
            np.save(file, content)
    for read in (
        references.check_reference,
        lambda source: references.read_reference(source, Networks()),
    ):
        with pytest.raises(StrategyError, match="needs the arrays mu and sigma") as told:
            read(str(path))
        assert "\n" not in str(told.value)


def test_too_few_images_are_counted(tmp_path: Path) -> None:
    with pytest.raises(StrategyError, match="holds 1 images"):
        references.check_reference(str(pictures(tmp_path / "r", count=1)))
    with pytest.raises(StrategyError, match="is no folder of images"):
        references.check_reference(str(tmp_path / "none"))
