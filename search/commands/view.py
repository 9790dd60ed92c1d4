"""`python -m search view`: a local page with a prompt and a slider along the front."""

from __future__ import annotations

from search.commands import run_options as reading
from search.results import run as runs
from search.results import run_settings as settled
from search.run_folder import consent, inputs
from strategies import StrategyError

EXAMPLES = 6
PORT = 7860


def main(arguments: list[str]) -> int:
    """Serve the page until Ctrl-C; returns the exit code."""
    made = reading.parser(
        "view",
        "Type a prompt and slide from the unaccelerated pipeline to the fastest point. The page is "
        "served on this machine alone. It needs the model and the extra [view].",
        ["RUN", "RUN --port 8000"],
    )
    made.add_argument(
        "--port", type=int, default=PORT, metavar="N", help=f"port to serve on (default: {PORT})"
    )
    made.add_argument(
        "--model",
        metavar="MODULE:FUNCTION",
        help="needed if the run's model is a function of yours, which runs again",
    )
    flags = made.parse_args(arguments)
    if not 1 <= flags.port <= 65535:
        raise StrategyError(f"--port is {flags.port}; give 1 to 65535")
    from search.viewing import page  # Before the model is loaded: it may not be installed.

    package = page.gradio()
    run = runs.load_run(flags.run, flags.storage)
    run.front()  # Before the model is loaded: there may be none.
    config = settled.read_settings(flags.run)
    consent.check_consent(flags.run, config.model, flags.model)

    from accel.models.loading import default_device, load_pipeline, quiet
    from evaluate.images.recorded_prompts import find_prompts
    from evaluate.speed.latency_measurement import unaccelerated_strategy
    from search.viewing.viewer import FrontViewer, drawing

    quiet()
    pipe = load_pipeline(config.model, default_device())
    draw = drawing(pipe, config.model)
    unaccelerated = unaccelerated_strategy(pipe, config.model.scheduler, config.model.steps)
    viewer = FrontViewer(run, unaccelerated, draw)
    kept = inputs.prompts_path(flags.run, "heldout")
    texts = find_prompts(str(kept), config.seed).texts[:EXAMPLES] if kept.is_file() else ()
    print(f"http://127.0.0.1:{flags.port}  (Ctrl-C ends it)", flush=True)
    page.build_page(viewer, texts, package).launch(
        server_name="127.0.0.1", server_port=flags.port, share=False, inbrowser=False, quiet=True
    )
    return 0
