"""Prompts of a file as editors, spreadsheets and data sets write it.

Text is UTF-8, or any Unicode with a byte order mark, with any line ends. A table names its columns
in the first row, a JSON object its captions. Nothing is guessed: an ambiguous file is an error that
says how to save it.
"""

from __future__ import annotations

import codecs
import csv
import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from strategies import StrategyError

COLUMNS = ("prompt", "caption", "text")  # Tried in this order, in any case; also in the plural.
SUFFIXES = ".txt, .tsv, .csv, .json or .jsonl"
MARKS = (  # The longer ones first: UTF-32's begins with UTF-16's.
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_NO_TEXT = re.compile("[\0\ud800-\udfff]")  # A zero byte, and halves of characters.
# A cell that a spreadsheet has quoted, or one that holds no quote at all, and what ends it.
_CELL = r'(?:"(?:[^"]|"")*+"|[^"{0}\r\n]*+)(?:{0}|\r\n|\r|\n|\Z)'


def read_prompt_file(path: Path) -> list[str]:
    """Prompts of a file, each on one line, without empty ones.

    Raises:
        StrategyError: it cannot be read, has another form, or holds no text.
        OSError: it does not exist.
    """
    text = decode_prompts(path.read_bytes(), str(path))
    found = FORMS.get(path.suffix.lower(), _lines)(str(path), text)
    prompts = [" ".join(one.split()) for one in found if one.strip()]
    if not prompts:
        raise StrategyError(f"prompts {str(path)!r} hold no line of text")
    for number, prompt in enumerate(prompts, 1):
        if _NO_TEXT.search(prompt):
            raise StrategyError(
                f"prompts {str(path)!r}: prompt {number} holds a character that is no text "
                f"({prompt[:40]!r}); remove it"
            )
    return prompts


def decode_prompts(data: bytes, source: str) -> str:
    """Text of a file, without byte order marks.

    Raises:
        StrategyError: it is no text, or text in an encoding that the file does not name.
    """
    if data.startswith(b"PK\x03\x04"):
        raise StrategyError(
            f"prompts {source!r} is a spreadsheet or an archive; save it as CSV (UTF-8)"
        )
    coding = next((name for mark, name in MARKS if data.startswith(mark)), "utf-8")
    try:
        text = data.decode(coding)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise StrategyError(
            f"prompts {source!r} cannot be read as {coding.upper()}: line {line} has the byte "
            f"0x{data[error.start]:02x}; save the file as UTF-8"
        ) from None
    return text.replace("\ufeff", "")


def _lines(_: str, text: str) -> list[str]:
    return re.split(r"\r\n|\r|\n", text)


def _tabs(source: str, text: str) -> list[str]:
    return _table(source, text, "\t")


def _commas(source: str, text: str) -> list[str]:
    """Rows of a .csv file, with the separator that its head has most often or that Excel names."""
    match = re.match(r"sep=(.)\r?\n", text)
    if match:
        return _table(source, text[match.end() :], match[1])
    head = re.split(r"\r|\n", text, maxsplit=1)[0]
    return _table(source, text, max(",;\t", key=head.count))


def _table(source: str, text: str, separator: str) -> list[str]:
    # PartiPrompts has quotes as they are; a spreadsheet quotes each cell that has one.
    cell = re.compile(_CELL.format(re.escape(separator)))
    at = 0
    while at < len(text) and (match := cell.match(text, at)) and match.end() > at:
        at = match.end()
    quoted = at == len(text) and '"' in text
    quoting: Any = csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=separator, quoting=quoting)
    try:
        rows = [row for row in lines if row]
    except csv.Error as error:
        raise StrategyError(f"prompts {source!r} cannot be read as a table ({error})") from None
    names = [name.strip() for name in rows[0]] if rows else []
    column = _column(names)
    if column is None:
        raise StrategyError(
            f"prompts {source!r}: no column Prompt, Caption or Text, only {names}; name one in the "
            "first row"
        )
    return [row[column] for row in rows[1:] if len(row) > column]


def _column(names: list[str]) -> int | None:
    plain = [name.lower().removesuffix("s") for name in names]
    return next((plain.index(name) for name in COLUMNS if name in plain), None)


def _json(source: str, text: str) -> list[str]:
    try:
        data = json.loads(text)
        if isinstance(data, dict):
            captions: dict[int, str] = {}
            for row in sorted(data["annotations"], key=lambda row: (row["image_id"], row["id"])):
                captions.setdefault(row["image_id"], row["caption"])
            data = list(captions.values())
        return [_text(one) for one in data]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise StrategyError(
            f"prompts {source!r} must be a list of texts, of objects with prompt, caption or text, "
            "or COCO captions with annotations, each of image_id, id and caption "
            f"({type(error).__name__}: {error})"
        ) from None


def _json_lines(source: str, text: str) -> list[str]:
    found = []
    for number, line in enumerate(_lines(source, text), 1):
        if line.strip():
            try:
                found.append(_text(json.loads(line)))
            except (ValueError, TypeError, RecursionError) as error:
                raise StrategyError(
                    f"prompts {source!r}, line {number}: must be a text or an object with prompt, "
                    f"caption or text ({type(error).__name__}: {error})"
                ) from None
    return found


def _text(entry: Any) -> str:
    """A prompt from an entry of JSON."""
    if isinstance(entry, dict):
        names = list(entry)
        column = _column([str(name) for name in names])
        entry = None if column is None else entry[names[column]]
    if not isinstance(entry, str):
        raise TypeError("entries that are not texts")
    return entry


FORMS: dict[str, Callable[[str, str], list[str]]] = {
    ".tsv": _tabs,
    ".csv": _commas,
    ".json": _json,
    ".jsonl": _json_lines,
    ".ndjson": _json_lines,
}
