"""What a worker sends of the images that it draws: figures, and the thumbnails asked for."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import strategies
from evaluate import scoring
from evaluate.extraction import ExtractedFeatures, ExtractionSpec
from evaluate.metrics import select_metrics
from search.commands import model_setup
from search.commands.options import parser
from search.workers import worker
from search.workers.messages import SampleRequest
from tests.support.pipelines.unet_pipelines import build


def test_a_worker_sends_figures_and_what_thumbnails_are_asked_for(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    build("sd1").save_pretrained(folder)
    flags = parser().parse_args(
        ["--model", str(folder), "--size", "32", "--base-steps", "4", "--batch", "2"]
    )
    _, model = model_setup.load_model(flags)
    made = worker.Worker(model.model_dump(), "cpu", 1)
    base = made.evaluator.unaccelerated
    depth = ["full", *[1] * (base.calls - 1)]
    one = strategies.Strategy.create(
        family="unet", scheduler=base.scheduler, steps=4, calls=base.calls,
        methods={"deepcache": {"depth": depth}},
    )  # fmt: skip

    def ask(
        strategy: strategies.Strategy, start: int, stop: int, thumbnails: int = 0
    ) -> ExtractedFeatures:
        return made.sample(
            SampleRequest(
                key="one", strategy=strategy, split="search", start=start, stop=stop,
                reading=ExtractionSpec(pairs=("psnr", "ssim"), thumbnails=thumbnails),
                unaccelerated=str(tmp_path / "drawn"),
            )
        )  # fmt: skip

    first, rest = ask(one, 0, 2), ask(one, 2, 5)
    sample = first.concatenate(rest)
    assert {name: v.shape for name, v in sample.paired.items()} == {"psnr": (5,), "ssim": (5,)}
    files = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.png")}
    assert len(files) == 5
    plain = ask(base, 0, 5)
    assert plain.paired["psnr"].tolist() == [99.0] * 5
    assert {path: path.stat().st_mtime_ns for path in files} == files
    # The same figures as of images that are all kept.
    chosen = made.evaluator.prompts["search"].first(5)
    side, plain_side = (made.evaluator.generate("x", s, chosen) for s in (one, base))
    metrics = select_metrics(["psnr", "ssim"], None)
    direct = scoring.full_scores(scoring.statistics(side, plain_side, {}, metrics), 5)
    through = scoring.Scoring(tuple(metrics), {}).score(sample, plain)
    assert direct == pytest.approx(through, abs=1e-3)
    assert sample.thumbnails == ()
    few = ask(one, 1, 4, thumbnails=2).thumbnails
    assert side.image is not None
    for index, content in enumerate(few, 1):
        assert np.array_equal(np.array(Image.open(io.BytesIO(content))), side.image(index))
    assert len(few) == 2
    assert ExtractionSpec.of(metrics) == ExtractionSpec((), ("psnr", "ssim"))
