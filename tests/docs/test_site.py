"""The site of the docs, as far as it can be checked without MkDocs: its pages and their links."""

from __future__ import annotations

import importlib.util
import re
from types import SimpleNamespace
from typing import Any

import pytest

from tests.support.paths import ROOT

DOCS = ROOT / "docs"
NAV = re.findall(
    r"^ +- [^:\n]+: (\S+\.md)$", (ROOT / "mkdocs.yml").read_text("utf-8"), re.MULTILINE
)


@pytest.fixture(scope="module")
def hooks() -> Any:
    spec = importlib.util.spec_from_file_location("site_hooks", DOCS / "site_hooks.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_page_is_in_the_menu(hooks: Any) -> None:
    pages = {path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md")}
    outside = [name for name in hooks.PAGES if name.endswith(".md")]
    made = {f"repository/{name}" for name in [*outside, "examples/search.md"]}
    made |= {f"reference/{name}.md" for name in hooks.REFERENCE}
    assert set(NAV) == pages | made
    assert len(NAV) == len(set(NAV))


def test_what_stands_outside_is_there(hooks: Any) -> None:
    assert not [name for name in hooks.PAGES if not (ROOT / name).is_file()]
    for objects in hooks.REFERENCE.values():
        for name in objects:
            path = ROOT.joinpath(*name.split("."))
            assert (
                path.is_dir()
                or path.with_suffix(".py").is_file()
                or path.parent.with_suffix(".py").is_file()
            ), name


def test_links_outside_of_the_docs_are_pages_of_the_site(hooks: Any) -> None:
    known = {*hooks.PAGES, hooks.NOTEBOOK}
    for path in DOCS.rglob("*.md"):
        for _, target, _ in hooks.LINK.findall(path.read_text("utf-8")):
            found = (path.parent / target).resolve()
            if "://" not in target and found.is_relative_to(ROOT) and DOCS not in found.parents:
                assert found.relative_to(ROOT).as_posix() in known, (path, target)


@pytest.mark.parametrize(
    ("page", "link", "changed"),
    [
        ("index.md", "[a](tutorial.md#x)", "[a](tutorial.md#x)"),
        ("index.md", "[a](../examples/search.ipynb)", "[a](repository/examples/search.md)"),
        ("decisions/README.md", "[a](../search.md)", "[a](../search.md)"),
        ("repository/README.md", "[a](docs/index.md)", "[a](../index.md)"),
        ("repository/README.md", "![a](docs/figures/cat.png)", "![a](../figures/cat.png)"),
        ("repository/zoo/models/tiny-sd/README.md", "![a](curve.png)", "![a](curve.png)"),
        ("index.md", "[a](https://example.org/x)", "[a](https://example.org/x)"),
        ("index.md", "[a](#here)", "[a](#here)"),
    ],
)
def test_links_are_changed(hooks: Any, page: str, link: str, changed: str) -> None:
    file = SimpleNamespace(file=SimpleNamespace(src_uri=page))
    assert hooks.on_page_markdown(f"See {link}.", page=file) == f"See {changed}."


def test_the_notebook_becomes_a_page(hooks: Any) -> None:
    text = hooks._notebook()
    assert text.startswith("#")
    assert "```python\n" in text
    output = {"data": {"image/png": ["QUJD\n"]}}
    assert hooks._output(output) == "![output](data:image/png;base64,QUJD)"
    assert hooks._output({"text": ["one\n", "two\n"]}) == "```text\none\ntwo\n```"
