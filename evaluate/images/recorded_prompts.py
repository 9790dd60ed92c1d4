"""Recorded prompts: texts, seeds and classes in a file of their own.

A list of prompts may be edited, or be read from its end. Images can be generated again from the
recorded prompts alone.
"""

from __future__ import annotations

import json
from pathlib import Path

from evaluate.images.prompts import Prompts, load_prompts
from strategies import StrategyError
from strategies.data_files.whole import write as write_text

SUFFIX = ".prompts.json"


def prompt_rows(prompts: Prompts) -> list[list[object]]:
    """Prompts as plain JSON: text, seed, class, and the paths of input image and mask.

    The class is None if there is none and images follow. Missing entries at the end are left out.
    """
    columns: list[tuple[object, ...]] = [prompts.texts, prompts.seeds]
    if prompts.labels or prompts.inputs:
        columns.append(prompts.labels or (None,) * len(prompts.texts))
    columns += [column for column in (prompts.inputs, prompts.masks) if column]
    return [list(row) for row in zip(*columns, strict=True)]


def write(prompts: Prompts, path: Path) -> None:
    """Write a file that `find_prompts` reads.

    Raises:
        StrategyError: it cannot be written.
    """
    lines = (f"  {json.dumps(row, ensure_ascii=False)}" for row in prompt_rows(prompts))
    write_text("[\n" + ",\n".join(lines) + "\n]\n", path)


def find_prompts(source: str, seed: int) -> Prompts:
    """Prompts as recorded, or by name or file as `evaluate.images.prompts.load_prompts` takes them.

    Raises:
        StrategyError: the file cannot be read, has another form, or is empty.
    """
    if not source.endswith(SUFFIX):
        return load_prompts(source, seed)
    try:
        data = json.loads(Path(source).read_text(encoding="utf-8"))
        columns = list(zip(*data, strict=True))
        texts, seeds = map(str, columns[0]), map(int, columns[1])
        labelled = len(columns) > 2 and columns[2][0] is not None
        labels = map(int, columns[2]) if labelled else ()
        inputs, masks = (map(str, columns[i]) if len(columns) > i else () for i in (3, 4))
        return Prompts(tuple(texts), tuple(seeds), tuple(labels), tuple(inputs), tuple(masks))
    except (OSError, ValueError, TypeError, IndexError) as error:
        raise StrategyError(f"recorded prompts {source} cannot be read ({error})") from None
