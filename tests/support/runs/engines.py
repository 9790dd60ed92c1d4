"""Search engines on fake workers, and runs of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from accel.models.config import read_model
from accel.models.loading import load_pipeline
from evaluate.speed.latency_measurement import unaccelerated_strategy
from search import config, spaces
from search.engine import exporting
from search.engine.search import Search
from search.initial.baselines import ORIGINS, known_strategies
from search.initial.joint import JOINT
from search.proposers.generation_strategy import GenerationStrategy
from search.results import finalist
from search.results.run import Run
from search.study.study import Study
from tests.support.runs.fake_executor import FakeExecutor

MODEL = read_model("tiny-sd")


PIPE = load_pipeline(MODEL)


SCHEDULER = PIPE.scheduler


FLAGS: dict[str, Any] = {
    "space": "unet-small",
    "workers": 0,
    "images": 16,
    "heldout_images": 16,
    "export": 5,
}


def make_engine(folder: Path, executor: FakeExecutor | None = None, **flags: Any) -> Search:
    """A search whose first few proposals are of all kinds; with `joint=True`, joint ones first."""
    joint = flags.pop("joint", False)
    given = FLAGS | {"budget": "70evals"} | flags
    settings = config.resolve("tiny-sd", {"rungs": [given["images"]]} | given)
    space = spaces.make_space(settings.space, "unet", SCHEDULER)
    folder.mkdir(parents=True, exist_ok=True)
    origins = [one for one in ORIGINS if joint or one != JOINT]
    baseline = unaccelerated_strategy(PIPE, MODEL.scheduler, MODEL.steps)
    generation = GenerationStrategy(
        space,
        known_strategies(space, MODEL.scheduler, MODEL.steps, origins),
        settings.proposer,
        settings.population,
        settings.seed,
        settings.ladder,
    )
    study = Study(folder / "study.journal", settings.objectives)
    workers = executor or FakeExecutor()
    return Search(settings, folder, study, workers, space, baseline, generation, lambda _: None)


def go(engine: Search) -> dict[str, Any]:
    engine.prepare()
    engine.evaluate()
    return engine.export(engine.finish())


def raced(engine: Search) -> dict[str, Any]:
    """Search and score, and keep the finalists; nothing is drawn for people. The summary."""
    engine.prepare()
    engine.evaluate()
    result = engine.finish()
    finalist.keep_finals(engine.study, result.finals, engine.config)
    run = Run(engine.folder, engine.config, engine.study, result.finals)
    objectives, seconds = engine.prepared.objectives, engine.clock.seconds
    return exporting.summarise_search(run, engine.initial, objectives, seconds, result.unscored)
