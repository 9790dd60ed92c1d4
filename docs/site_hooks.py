"""Hooks of MkDocs: pages that stand outside of `docs/`, the API reference, and the notebook.

Links in `docs/` are written for the repository. Targets outside of `docs/` become pages below
`repository/`, and links to them are changed.
"""

from __future__ import annotations

import json
import posixpath
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PLACE = "repository"
PAGES = (
    *("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md", "CITATION.cff"),
    *("integrations/comfyui/README.md", "examples/plugin/README.md"),
    *("examples/slurm.sh", "examples/kuberay.yaml"),
    *(f"zoo/models/{m}/{f}" for m in ("tiny-sd", "tiny-pixart", "tiny-portraits")
      for f in ("README.md", "samples.png", "curve.png")),
)  # fmt: skip
NOTEBOOK = "examples/search.ipynb"
# Titles of the reference, and the objects that each page documents.
REFERENCE = {
    "strategies": ["strategies"],
    "accel": ["accel"],
    "evaluate": ["evaluate"],
    "search": ["search.results.run", "search.results.comparison.fronts"],
    "plugins": [
        *("strategies.knobs.Knobs", "strategies.plugins.families.FamilyPlugin"),
        *("accel.method.Attach", "accel.sites", "accel.families.base.Family", "accel.clock"),
        *("evaluate.metrics.shared.base.Metric", "search.proposers.base"),
    ],
}
LINK = re.compile(r"(\]\()([^)#\s]+)((?:#[^)\s]*)?\))")


def on_files(files: Any, config: Any) -> Any:
    """Add the pages that are not in `docs/`."""
    from mkdocs.structure.files import File

    for name in PAGES:
        place = f"{PLACE}/{name}"
        files.append(File.generated(config, place, abs_src_path=str(ROOT / name)))
    files.append(File.generated(config, f"{PLACE}/{_page(NOTEBOOK)}", content=_notebook()))
    for name, objects in REFERENCE.items():
        lines = [f"# {name}", *(f"::: {one}" for one in objects)]
        content = "\n\n".join(lines) + "\n"
        files.append(File.generated(config, f"reference/{name}.md", content=content))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Change the links of a page to where their targets are on the site."""
    here = page.file.src_uri
    outside = here.startswith(f"{PLACE}/")
    source = here.removeprefix(f"{PLACE}/") if outside else f"docs/{here}"

    def changed(found: re.Match[str]) -> str:
        begin, target, end = found.groups()
        if re.match(r"\w+:", target):
            return found[0]
        path = posixpath.normpath(posixpath.join(posixpath.dirname(source), target))
        return f"{begin}{posixpath.relpath(_place(path), posixpath.dirname(here) or '.')}{end}"

    return LINK.sub(changed, markdown)


def _place(path: str) -> str:
    """Place on the site of a file of the repository."""
    if path.startswith("docs/"):
        return path.removeprefix("docs/")
    return f"{PLACE}/{_page(path)}"


def _page(path: str) -> str:
    return path.removesuffix(".ipynb") + ".md" if path.endswith(".ipynb") else path


def _notebook() -> str:
    """The notebook as a page: its text, its code, and the outputs that it has."""
    parts = []
    for cell in json.loads((ROOT / NOTEBOOK).read_text(encoding="utf-8"))["cells"]:
        source = "".join(cell["source"])
        parts.append(f"```python\n{source}\n```" if cell["cell_type"] == "code" else source)
        parts += [text for one in cell.get("outputs", []) if (text := _output(one))]
    return "\n\n".join(parts) + "\n"


def _output(given: dict[str, Any]) -> str:
    data = given.get("data", {})
    if "image/png" in data:
        return f"![output](data:image/png;base64,{''.join(data['image/png']).strip()})"
    text = "".join(given.get("text", data.get("text/plain", "")))
    return f"```text\n{text.rstrip()}\n```" if text else ""
