"""Additions that docs/extending.md counts the files of: what is changed, and how it is used."""

from __future__ import annotations

# By file what is replaced and by what; the file is new where nothing is replaced.
Additions = dict[str, list[tuple[str, str]]]
PROPOSER: Additions = {
    "search/proposers/x.py": [
        (
            "",
            '''"""Search from the last choice on."""

from __future__ import annotations

from search.proposers.base import Proposer
from search.study.history import History
from strategies.genomes.space import Genome


class Last(Proposer):
    """Genomes of the last choices, one of them sampled uniformly."""

    name = "last"
    summary = "an example"

    def genome(self, number: int, attempt: int, history: History) -> Genome:
        drawn = self.random_genome(self.rng(number, attempt))
        return (*drawn[:2], *(size - 1 for size in self.space.sizes[2:]))
''',
        )
    ],
    "search/proposers/__init__.py": [
        ("\n_OWN", "from search.proposers.x import Last\n\n_OWN"),
        ("        OptunaTPE,\n    )", "        OptunaTPE,\n        Last,\n    )"),
    ],
}
PROPOSER_USED = """
from search.commands.options import parser
from search.proposers.generation_strategy import GenerationStrategy
from tests.support.proposals import SPACE
assert parser().parse_args(["--proposer", "last"]).proposer == "last"
proposal = GenerationStrategy(SPACE, [], "last", 8, 0).propose(0, [], set())
assert proposal.origin == "last" and proposal.strategy.methods
"""
FLAG: Additions = {
    "search/commands/options.py": [
        (
            '    group.add_argument(\n        "--sensitivity"',
            '    group.add_argument("--patience", type=int, metavar="N", help="an example")\n'
            '    group.add_argument(\n        "--sensitivity"',
        )
    ],
    "search/config.py": [
        (
            "    surrogate: bool = True\n",
            "    surrogate: bool = True\n    patience: int = Field(default=5, ge=0)\n",
        )
    ],
}
FLAG_USED = """
from search import config
from search.commands.model_setup import settings_asked
from search.commands.options import parser
for words, value in ((["--patience", "3"], 3), ([], 5)):
    flags = parser().parse_args(words)
    flags.constraints = None
    assert config.resolve("tiny-sd", settings_asked(flags)).patience == value
"""
ANSWER: Additions = {
    "search/workers/messages.py": [
        (
            "class RepeatRequest(Request[float]):",
            "class RepeatRequest(Request[tuple[float, str]]):",
        )
    ],
    "search/workers/worker.py": [
        (
            "        return float(np.abs(first.astype(float) - second).mean())",
            "        return float(np.abs(first.astype(float) - second).mean()), self.device",
        )
    ],
    "search/images/determinism.py": [
        (
            "    apart = require_success(outcome, run)\n",
            "    apart, told = require_success(outcome, run)\n    print(told)\n",
        )
    ],
}
ANSWER_USED = """
from evaluate.speed.latency_measurement import unaccelerated_strategy
from search.images import determinism
from search.study.study import Study
from search.workers.executor import InProcessExecutor
from search.workers.worker import Worker
from tests.support.runs.engines import MODEL, PIPE
worker = InProcessExecutor(lambda: Worker(MODEL.model_dump(), "cpu", 1))
one = unaccelerated_strategy(PIPE, "DDIMScheduler", 2)
determinism.check_determinism(Study(FOLDER / "study.journal"), worker, one, None, "tiny-sd", FOLDER)
"""
METRIC: Additions = {
    "evaluate/metrics/x.py": [
        (
            "",
            '''"""Mean absolute error of each image to the unaccelerated one."""

from __future__ import annotations

import numpy as np

from evaluate.metrics.shared import paired
from evaluate.networks.base import Pixels


def error(image: Pixels, base: Pixels) -> float:
    """Mean absolute error of two images, in levels of 255."""
    return float(np.abs(image.astype(float) - base).mean())


METRIC = paired.make("mae", "mean error", "lower", None, lambda _: error, "", "{:.2f}")
''',
        )
    ],
    "evaluate/metrics/__init__.py": [
        (
            "        psnr.METRIC,\n",
            "        psnr.METRIC,\n        x.METRIC,\n",
        ),
        ("    ssim,\n)", "    ssim,\n    x,\n)"),
    ],
    "docs/scoring.md": [("| `psnr`, ", "| `mae`, `psnr`, ")],
}
METRIC_USED = """
import evaluate
from search import config
from tests.evaluate.test_score_command import test_every_metric_is_in_the_docs
from tests.support.runs.engines import PIPE
found = config.resolve("tiny-sd", {"objectives": ["mae", "latency"]}).metric_set
assert "mae" in found.keys
model = config.resolve("tiny-sd", {}).model.model_copy(update={"steps": 2})
strategy = evaluate.Evaluator(model, "cpu", PIPE).unaccelerated
assert evaluate.evaluate(PIPE, strategy, 2, ["mae"], model)["mae"] == 0
test_every_metric_is_in_the_docs()
"""
FAMILY: Additions = {
    "accel/families/x.py": [
        (
            "",
            '''"""Family `x`: a class of its own, whose blocks are those of PixArt."""

from __future__ import annotations

from typing import Any

from diffusers import PixArtTransformer2DModel
from diffusers.models.modeling_outputs import Transformer2DModelOutput

from accel.families.base import Family
from accel.sites import Sublayer, Sites

KINDS = {"attn1": "attn", "attn2": "cross", "ff": "mlp"}


class Example(PixArtTransformer2DModel):
    """A new denoiser."""


def sites(denoiser: Any) -> Sites | None:
    """Sites of a transformer, or None if `denoiser` is not of this family."""
    if not isinstance(denoiser, Example):
        return None
    parts = tuple(
        Sublayer(f"transformer_blocks.{i}.{name}", i, (kind,), getattr(block, name))
        for i, block in enumerate(denoiser.transformer_blocks)
        for name, kind in KINDS.items()
    )
    inputs = ("hidden_states", "encoder_hidden_states", "timestep")
    return Sites(
        denoiser, (), None, (), (), (), parts, inputs, output=Transformer2DModelOutput
    )


FAMILY = Family("x", "a `transformer` of class Example", sites)
''',
        )
    ],
    "accel/families/__init__.py": [
        (
            "import dit, mmdit, stacks, transformer, unet\n",
            "import dit, mmdit, stacks, transformer, unet, x\n",
        ),
        ("FAMILIES = (unet", "FAMILIES = (x.FAMILY, unet"),
    ],
    "strategies/plugins/families.py": [
        (
            'OWN = ("unet", "dit", "mmdit", "transformer")',
            'OWN = ("unet", "dit", "mmdit", "transformer", "x")',
        )
    ],
    "strategies/methods/fora.py": [
        ('("dit", "mmdit", "transformer")', '("dit", "mmdit", "transformer", "x")')
    ],
    "configs/spaces/x-all.yaml": [
        (
            "",
            "# Everything that there is for the family.\n"
            "family: x\nschedulers: [DPMSolverMultistepScheduler]\nsteps: [6, 8]\n"
            "methods: [fora]\n",
        )
    ],
}
# The laws of transformers, with their tiny PixArt as a model of the new family.
FAMILY_USED = """
from pathlib import Path
from accel import families
from accel.families.x import Example
from search import spaces
from strategies import Strategy
from strategies.data_files.yaml_files import read_yaml
from tests.accel.laws import test_transformer_laws as laws
from tests.support.pipelines import transformer_pipelines as tiny

def build(model):
    pipe = former(model)
    pipe.transformer.__class__ = Example
    return pipe

former, laws.build = tiny.build, build
laws.strategy = lambda model, methods: Strategy.create(
    **{**tiny.strategy(model, methods).to_json(), "family": "x"}
)
pipe = build("pixart")
assert families.find_sites(pipe)[0] == "x"
laws.test_law_1_neutral_knobs_change_nothing("pixart", "fora")
laws.test_law_2_remove_restores_everything("pixart", "fora")
space = spaces.make_space(read_yaml(Path("configs/spaces/x-all.yaml")), "x", pipe.scheduler)
assert space.methods == ("fora",)
"""
ADDED = {
    "a proposer": (PROPOSER, PROPOSER_USED),
    "a flag of `python -m search`": (FLAG, FLAG_USED),
    "an answer of a worker": (ANSWER, ANSWER_USED),
    "a metric": (METRIC, METRIC_USED),
    "a family": (FAMILY, FAMILY_USED),
}
