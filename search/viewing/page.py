"""The page in Gradio: a prompt, a slider along the front, and two images."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from search.viewing.viewer import FrontViewer
from strategies import StrategyError


def gradio() -> Any:
    """The package `gradio`, which sends nothing about its use.

    Raises:
        StrategyError: it is not installed; says how to install it.
    """
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
    try:
        import gradio as found
    except ImportError as error:
        raise StrategyError(
            f"the page needs a package that is not installed ({error.name}); "
            "pip install 'diffusion-stratagem[view]'"
        ) from None
    return found


def build_page(viewer: FrontViewer, examples: Sequence[str], gr: Any) -> Any:
    """The page, not yet served.

    Args:
        viewer: images along the front.
        examples: prompts to choose from; the first one stands in the field.
        gr: the package `gradio`.
    """

    def show(prompt: str, place: float, seed: float) -> tuple[Any, Any, str]:
        try:
            found = viewer.show(prompt, place, seed)
        except StrategyError as error:
            raise gr.Error(str(error), print_exception=False) from None
        return found.unaccelerated, found.chosen, found.text

    with gr.Blocks(title=f"{viewer.name}: front") as page:
        gr.Markdown(f"# {viewer.name}\nSlide from the unaccelerated pipeline to the fastest point.")
        prompt = gr.Textbox(label="Prompt", value=examples[0] if examples else "")
        place = gr.Slider(
            minimum=0, maximum=viewer.last, value=viewer.start, step=1,
            label="Place on the front: 0 is unaccelerated",
        )  # fmt: skip
        seed = gr.Number(value=0, precision=0, label="Seed")
        button = gr.Button("Generate")
        with gr.Row():
            # The default format loses details, which are what is compared here.
            plain = gr.Image(label="unaccelerated", format="png")
            chosen = gr.Image(label="this point", format="png")
        about = gr.Markdown()
        given, shown = [prompt, place, seed], [plain, chosen, about]
        for event in (button.click, prompt.submit, place.release):
            event(show, given, shown)
        if examples:
            gr.Examples(examples=[[one] for one in examples], inputs=[prompt])
    return page
