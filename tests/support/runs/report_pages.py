"""Reports read: their tags and data, and one of a run that tries to become part of its page."""

from __future__ import annotations

import json
import shutil
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from search.results import gallery, report
from search.results import run as runs

EVIL = "</script><script>window.bad = 1</script><img src=x onerror='window.bad = 1'> \u2028 \"'&"


class Page(HTMLParser):
    """Tags with their attributes, and the content of scripts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: dict[str, str] = {}
        self._script: str | None = None
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag == "script":
            self._script = dict(attrs).get("id") or str(len(self.scripts))

    def handle_data(self, data: str) -> None:
        if self._script is not None:
            self.scripts[self._script] = self.scripts.get(self._script, "") + data

    def handle_endtag(self, tag: str) -> None:
        if tag == "script":
            self._script = None

    @property
    def data(self) -> Any:
        return json.loads(self.scripts["data"])


def page(folder: Path) -> Page:
    return Page((folder / report.FILE).read_text(encoding="utf-8"))


def evil(done: Path, where: Path) -> Path:
    """A copy of a run whose prompts and name try to become part of the page."""
    folder = where / "<img src=x onerror=window.bad=1>"
    shutil.copytree(done, folder)
    path = folder / gallery.NAME / gallery.PROMPTS
    rows = json.loads(path.read_text())
    rows[0]["text"] = EVIL
    path.write_text(json.dumps(rows))
    report.write(runs.load_run(folder), folder)
    return folder
