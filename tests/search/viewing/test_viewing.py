"""The page of a front: its logic without Gradio, and its calls of a stand-in for Gradio."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from PIL import Image

from search import cli
from search.results import run as runs
from search.viewing import page
from search.viewing.viewer import LEAST, FrontViewer, drawing, enlarged_view
from strategies import Strategy, StrategyError
from tests.search.run_folder import test_former_runs as former
from tests.support.runs.engines import MODEL, PIPE

RUN = Path(former.__file__).parent / "former_runs" / "tiny-sd"
PLAIN = Strategy.create(family="unet", scheduler="DDIMScheduler", steps=25, calls=25, methods={})


@pytest.fixture
def drawn() -> list[tuple[str, str, int]]:
    return []


@pytest.fixture
def viewer(drawn: list[tuple[str, str, int]]) -> FrontViewer:
    def draw(strategy: Strategy, prompt: str, seed: int) -> tuple[Image.Image, float]:
        drawn.append((strategy.digest, prompt, seed))
        return Image.new("RGB", (32, 32)), 0.5 if strategy.methods else 1.0

    return FrontViewer(runs.load_run(RUN), PLAIN, draw)


def test_the_slider_goes_from_unaccelerated_to_fastest(viewer: FrontViewer) -> None:
    points = sorted(runs.load_run(RUN).front(), key=lambda one: one.scores["speedup"])
    assert [one.strategy.digest for one in viewer.places] == [
        PLAIN.digest, *(point.strategy.digest for point in points),
    ]  # fmt: skip
    assert viewer.places[0].title == "unaccelerated"
    assert viewer.places[-1].title.endswith("fastest")
    assert "knee" in viewer.places[viewer.start].title
    text = " ".join(viewer.places[-1].lines)
    assert "measured: fd_base" in text
    assert any(word in text for word in ("found", "initial", "baseline"))
    for place in viewer.places[1:]:
        none = "fewer steps, no method" in place.lines
        assert none == (not place.strategy.methods)
        assert "unaccelerated" not in place.lines


def test_images_are_generated_once(viewer: FrontViewer, drawn: list[Any]) -> None:
    shown = viewer.show("a red circle", viewer.last, 3)
    assert [row[1:] for row in drawn] == [("a red circle", 3)] * 2
    assert f"**{viewer.places[-1].title}**" in shown.text
    assert "1.00 s unaccelerated" in shown.text
    viewer.show("a red circle", viewer.last, 3.0)
    viewer.show("a red circle", 0, 3)
    assert len(drawn) == 2
    viewer.show("a red circle", 99, 4)  # Beyond the end is the end.
    assert {row[0] for row in drawn[2:]} == {PLAIN.digest, viewer.places[-1].strategy.digest}
    with pytest.raises(StrategyError, match="the prompt is empty; type what"):
        viewer.show("  ", 0, 0)


def test_small_images_are_enlarged() -> None:
    small = Image.new("RGB", (32, 24))
    small.putpixel((1, 0), (255, 0, 0))
    large = enlarged_view(small)
    assert large.size == (LEAST, 240)
    assert large.getpixel((19, 9)) == (255, 0, 0)
    assert large.getpixel((20, 9)) == (0, 0, 0)
    assert enlarged_view(large) is large


class Component:
    """A part of the page, and the events that it was given functions for."""

    def __init__(self, kind: str, given: dict[str, Any]) -> None:
        self.kind, self.given = kind, given
        self.events: dict[str, tuple[Any, list[Any], list[Any]]] = {}
        for event in ("click", "submit", "release"):
            setattr(self, event, lambda *row, event=event: self.events.update({event: row}))

    def __enter__(self) -> Component:
        return self

    def __exit__(self, *_: object) -> None:
        return None


class Gradio(ModuleType):
    """A stand-in with the names of Gradio that are used."""

    class Error(Exception):
        """What Gradio shows to the user."""

        def __init__(self, message: str, print_exception: bool = True) -> None:
            super().__init__(message)
            assert not print_exception

    def __init__(self) -> None:
        super().__init__("gradio")
        self.made: list[Component] = []
        self.served: dict[str, Any] = {}

    def __getattr__(self, name: str) -> Any:
        if name not in ("Blocks", "Markdown", "Textbox", "Slider", "Number", "Button", "Row",
                        "Image", "Examples"):  # fmt: skip
            raise AttributeError(name)

        def make(*texts: Any, **given: Any) -> Component:
            one = Component(name, given | ({"text": texts[0]} if texts else {}))
            one.launch = lambda **served: self.served.update(served)  # type: ignore[attr-defined]
            self.made.append(one)
            return one

        return make

    def of(self, kind: str) -> list[Component]:
        return [one for one in self.made if one.kind == kind]


@contextmanager
def installed() -> Iterator[Gradio]:
    found = Gradio()
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "gradio", found)
        yield found


def test_the_page_calls_gradio_as_it_should(viewer: FrontViewer) -> None:
    gr = Gradio()
    page.build_page(viewer, ["a red circle", "a blue square"], gr)
    (slider,) = gr.of("Slider")
    assert (slider.given["minimum"], slider.given["maximum"]) == (0, viewer.last)
    assert slider.given["value"] == viewer.start
    (box,) = gr.of("Textbox")
    assert box.given["value"] == "a red circle"
    (button,) = gr.of("Button")
    events = [button.events["click"], box.events["submit"], slider.events["release"]]
    images, text = gr.of("Image"), gr.of("Markdown")[-1]
    for function, given, shown in events:
        assert given == [box, slider, gr.of("Number")[0]]
        assert shown == [*images, text]
        plain, chosen, about = function("a red circle", viewer.last, 0)
        assert plain.size == chosen.size == (LEAST, LEAST)
        assert viewer.places[-1].title in about
    with pytest.raises(Gradio.Error, match="the prompt is empty"):
        events[0][0]("", 0, 0)


def test_a_missing_package_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "gradio", None)
    assert cli.main(["view", str(RUN)]) == 2
    shown = capsys.readouterr().err
    assert len(shown.splitlines()) == 1
    assert "pip install 'diffusion-stratagem[view]'" in shown


def test_mistakes_come_before_the_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("accel.models.loading.load_pipeline", None)
    with installed():
        for words, message in (
            ([str(RUN), "--port", "0"], "--port is 0; give 1 to 65535"),
            ([str(tmp_path / "none")], "none"),
        ):
            assert cli.main(["view", *words]) == 2
            assert message in capsys.readouterr().err


def test_models_without_a_prompt_are_refused() -> None:
    with pytest.raises(StrategyError, match="shows models that generate images from a prompt"):
        drawing(PIPE, MODEL.model_copy(update={"frames": 9}))


@pytest.mark.slow
def test_the_command_serves_images_of_the_bundled_model(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with installed() as gr:
        assert cli.main(["view", str(RUN), "--port", "8123"]) == 0
    assert gr.served == {
        "server_name": "127.0.0.1", "server_port": 8123, "share": False,
        "inbrowser": False, "quiet": True,
    }  # fmt: skip
    assert "http://127.0.0.1:8123" in capsys.readouterr().out
    show, _, _ = gr.of("Button")[0].events["click"]
    plain, chosen, about = show("a large red circle on a plain dark background", 1, 0)
    assert plain.size == chosen.size == (LEAST, LEAST)
    assert len(plain.getcolors(10**6)) > 20
    assert plain.tobytes() != chosen.tobytes()
    assert "s unaccelerated" in about
