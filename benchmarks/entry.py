"""Entry of the registry: a script, and the results that it writes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent
RESULTS = FOLDER / "results"
TABLES = FOLDER / "tables"


@dataclass(frozen=True)
class Benchmark:
    """A script in a folder of this package.

    Attributes:
        script: its file, without `.py`.
        about: its measurement, without the last full stop.
        group: heading it stands under.
        results: names of its files in `results/`, without `.json`; `*` stands for anything.
        cpu: arguments that make it affordable without a GPU.
        needs: what it cannot do without, in words.
    """

    name: str
    script: str
    about: str
    group: str
    results: tuple[str, ...] = ()
    cpu: tuple[str, ...] = ()
    needs: str = ""

    @property
    def path(self) -> Path:
        """Its script."""
        return FOLDER / f"{self.script}.py"

    @property
    def module(self) -> str:
        """Its name as a module, for `python -m`."""
        return f"benchmarks.{self.script.replace('/', '.')}"

    @property
    def files(self) -> list[Path]:
        """Its results that are there, by name."""
        return sorted({path for name in self.results for path in RESULTS.glob(f"{name}.json")})


SPEED, WORK, QUALITY = "Speed of the sampler", "Work and memory", "Quality"
SCORES, SEARCH, ENGINE = "Scores", "Searches", "The engine"
COST = "Device time of searches"
PAPERS = "The papers' tables"
