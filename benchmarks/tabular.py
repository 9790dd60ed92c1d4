"""The tabular benchmark: drawn strategies, and a fitted model that answers for all others.

    python benchmarks/tabular_draw.py tiny-sd --out runs/tabular --rounds 12
    python benchmarks/tabular.py pack tiny-sd --drawn runs/tabular
    python benchmarks/tabular.py extend tiny-sd --drawn runs/drawn
    python benchmarks/tabular.py take tiny-pixart --run runs/a-search
    python benchmarks/tabular.py check tiny-sd

`pack` writes `benchmarks/tables/MODEL.safetensors`: genomes, features of 16 images of each strategy
and of the unaccelerated model, and the latency table. `extend` adds what searches have drawn
(`efficiency.py --draw`), `take` what a run of `python -m search` has scored: figures without
features. `check` says how wrong the model is on
strategies that it has not seen, by origin, and writes `benchmarks/results/tabular-MODEL.json`.
A search that is run on the table costs no drawing; what it finds is confirmed by drawing.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import load_file, save_file
from scipy.stats import kendalltau, spearmanr
from sklearn.model_selection import KFold
from tabular_model import Mixture, Shift

from accel.models import load_pipeline, quiet, read_config, read_model
from evaluate import Evaluator
from evaluate.distances import frechet_paired, frechet_statistic
from evaluate.evaluator import real_images
from evaluate.latency import LatencyTable
from search import config as configuration
from search import rungs, sensitivity
from search.description import Description
from search.study import Study
from strategies import SearchSpace, Strategy
from strategies.space import Genome

HERE = Path(__file__).parent
SIZES = (4, 8, 16)  # Images that a strategy can be scored on.
FOLDS = 10
PROMPTS = 4  # Of the measured sensitivity.
APART = ("stretches", "changes")  # Its genomes and features, where it was drawn on so few.
SCORED = ("scored", "figures")  # Genomes, and FD on each of the sizes, NaN where it is not known.
LEAST = 1e-3  # FD that is told from none.


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["pack", "extend", "take", "check"])
    parser.add_argument("model")
    parser.add_argument("--drawn", type=Path, default=Path("runs/tabular"))
    parser.add_argument("--run", type=Path, help="of `take`: a run's folder")
    flags = parser.parse_args()
    quiet()
    if flags.what == "pack":
        pack(flags.model, flags.drawn / flags.model)
    elif flags.what == "extend":
        extend(flags.model, flags.drawn)
    elif flags.what == "take":
        if flags.run is None:
            parser.error("take needs --run, the folder of a finished search")
        take(flags.model, flags.run)
    else:
        found = Table(flags.model).check()
        target = HERE / "results" / f"tabular-{flags.model}.json"
        target.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
        print(json.dumps(found, indent=2))


def pack(model: str, folder: Path) -> None:
    """Collect what is drawn into one file."""
    space, genomes, features, origins = make_space(model), [], [], []
    stretches, changes = [], []  # Of the measured sensitivity, where it was drawn apart.
    config = read_model(model)
    plain = space.uniform(config.scheduler, config.steps).digest
    for path in sorted(folder.glob("*-*-*.safetensors")):
        strategy = Strategy.create(**json.loads(path.with_suffix(".json").read_text("utf-8")))
        if strategy.digest == plain:
            continue
        drawn = load_file(path)["features"][: SIZES[-1]]
        if len(drawn) < SIZES[-1]:
            stretches.append(space.encode(strategy))
            changes.append(drawn)
            continue
        genomes.append(space.encode(strategy))
        features.append(drawn)
        origins.append(path.stem.split("-", 2)[2])
    base = load_file(folder / "unaccelerated.safetensors")["features"][: SIZES[-1]]
    notes = {
        "latency": (folder / "latency.json").read_text("utf-8"),
        "origins": json.dumps(origins),
        "space": json.dumps(read_config("spaces", read_model(model).space)),
    }
    apart = {}
    if stretches:
        found = np.array(stretches, np.int8), np.array(changes, np.float16)
        apart = dict(zip(APART, found, strict=True))
    write(model, genomes, features, base, notes, apart)


def extend(model: str, folder: Path) -> None:
    """Add the strategies that searches have drawn."""
    table = Table(model)
    genomes = [table.space.encode(one) for one in table.strategies]
    features = [table.features[one.digest] for one in table.strategies]
    origins = table.origins[: len(genomes)]
    for path in sorted(folder.glob(f"search-{SIZES[-1]}-*.safetensors")):
        with safe_open(path, "np") as file:
            strategy = Strategy.create(**json.loads(file.metadata()["strategy"]))
        if strategy.digest not in table.features | {table.unaccelerated.digest: None}:
            genomes.append(table.space.encode(strategy))
            features.append(load_file(path)["features"])
            origins.append("searched")
    notes = table.notes | {"origins": json.dumps(origins)}
    write(model, genomes, features, table.base.astype(np.float32), notes, table.apart)


def take(model: str, run: Path) -> None:
    """Add the figures of a search of the same model on the same first prompts."""
    table = Table(model)
    found: dict[str, tuple[Genome, dict[int, float]]] = {}
    for genome, figures in zip(*(table.apart.get(key, ()) for key in SCORED), strict=True):
        known = tuple(map(int, genome))
        found[table.space.decode(known).digest] = known, dict(zip(SIZES, figures, strict=True))
    for one in Study(run / "study.journal", read_only=True).evaluations:
        digest, value = one.strategy.digest, one.scores.get("fd_base")
        if value is None or one.images not in SIZES:
            continue
        if digest in table.features:
            theirs = table.seen[digest, one.images]
            if not np.isclose(max(LEAST, value), theirs, rtol=0.02):
                raise SystemExit(f"{run} was not drawn as the table: {value} instead of {theirs}")
            continue
        found.setdefault(digest, (table.space.encode(one.strategy), {}))[1][one.images] = value
    scored = np.array([genome for genome, _ in found.values()], np.int8)
    values = np.array([[f.get(n, np.nan) for n in SIZES] for _, f in found.values()], np.float32)
    added = dict(zip(SCORED, (scored, values), strict=True))
    genomes = [table.space.encode(one) for one in table.strategies]
    features = [table.features[one.digest] for one in table.strategies]
    base = table.base.astype(np.float32)
    write(model, genomes, features, base, table.notes, table.apart | added)


def write(
    model: str,
    genomes: Sequence[Genome],
    features: Sequence[NDArray[Any]],
    base: NDArray[np.float32],
    notes: dict[str, str],
    apart: dict[str, NDArray[Any]],
) -> None:
    """The table's file.

    Args:
        apart: genomes and features of what only the measured sensitivity reads, and genomes and
            figures of what searches have scored, if any.
    """
    target = HERE / "tables" / f"{model}.safetensors"
    target.parent.mkdir(exist_ok=True)
    tensors = {
        "genomes": np.array(genomes, np.int8),
        "features": np.array(features, np.float16),
        "unaccelerated": base,
        **apart,
    }
    save_file(tensors, target, notes)
    print(f"{target}: {len(genomes)} strategies, {target.stat().st_size / 2**20:.1f} MiB")


def make_space(model: str, settings: dict[str, Any] | None = None) -> SearchSpace:
    """The space of a model's config, or of other settings."""
    config = read_model(model)
    pipe = load_pipeline(config)
    given = read_config("spaces", config.space) if settings is None else settings
    from accel import families

    return configuration.make_space(given, families.find(pipe)[0], pipe.scheduler)


class Table:
    """What was drawn, and a model for the rest.

    Args:
        model: whose table.
    """

    def __init__(self, model: str) -> None:
        self.name = model
        path = HERE / "tables" / f"{model}.safetensors"
        tensors = load_file(path)
        with safe_open(path, "np") as file:
            self.notes: dict[str, str] = file.metadata()
        notes = self.notes
        self.space = make_space(model, json.loads(notes["space"]))
        self.describe = Description(self.space)
        self.latency = LatencyTable.model_validate_json(notes["latency"])
        self.origins: list[str] = json.loads(notes["origins"])
        self.base = tensors["unaccelerated"].astype(float)
        self.strategies = [self.space.decode(tuple(map(int, g))) for g in tensors["genomes"]]
        self.features = dict(
            zip(
                (one.digest for one in self.strategies),
                tensors["features"].astype(float),
                strict=True,
            )
        )
        self.apart = {key: tensors[key] for key in (*APART, *SCORED) if key in tensors}
        few = [self.apart[key] for key in APART if key in self.apart]
        self._few = {
            self.space.decode(tuple(map(int, genome))).digest: features.astype(float)
            for genome, features in zip(*few, strict=True)
        }
        self.seen = {(d, n): self._measured(f, n) for d, f in self.features.items() for n in SIZES}
        scored = self._scored()
        self.everyone = [*self.strategies, *scored]
        self.origins += ["searched"] * len(scored)
        self.told_all = np.array([self.told(one) for one in self.everyone])
        self.logs = np.log([self.seen[one.digest, SIZES[-1]] for one in self.everyone])
        self.model = Mixture().fit(self.told_all, self.logs)
        self.fewer = {n: self._shift(n) for n in SIZES[:-1]}

    def _scored(self) -> list[Strategy]:
        """Take in what searches have scored; on all images, those that are not drawn here."""
        found = []
        rows = [self.apart[key] for key in SCORED if key in self.apart]
        for genome, figures in zip(*rows, strict=True):
            strategy = self.space.decode(tuple(map(int, genome)))
            known = {n: float(v) for n, v in zip(SIZES, figures, strict=True) if np.isfinite(v)}
            for n, value in known.items():
                self.seen.setdefault((strategy.digest, n), max(LEAST, value))
            if SIZES[-1] in known and strategy.digest not in self.features:
                found.append(strategy)
        return found

    def _shift(self, images: int) -> Shift:
        both = [i for i, one in enumerate(self.everyone) if (one.digest, images) in self.seen]
        fewer = np.log([self.seen[self.everyone[i].digest, images] for i in both])
        return Shift().fit(self.logs[both], fewer)

    @property
    def unaccelerated(self) -> Strategy:
        """The model's own solver and steps, nothing else."""
        config = read_model(self.name)
        return self.space.uniform(config.scheduler, config.steps)

    @property
    def reference(self) -> tuple[float, float]:
        """The worst point that counts: the unaccelerated model's FD to real images, its seconds."""
        count = SIZES[-1]
        real = frechet_statistic(self.base, real_images().statistics("bundled"))(np.ones(count))
        return float(real), self.latency.predict(self.unaccelerated)

    def noted(self, key: str) -> float | None:
        """What a study would have noted of a measured sensitivity."""
        known = self._few | self.features
        features = known.get(key.removeprefix("sensitivity:"))
        if features is None:
            return None
        steps = min(self.space.steps, key=lambda n: (abs(n - sensitivity.STEPS), n))
        plain = self.space.uniform(self.unaccelerated.scheduler, steps)
        return sensitivity.change_of(features[:PROMPTS], known[plain.digest][:PROMPTS])

    def draws(
        self, strategy: Strategy, images: int, ladder: Sequence[int]
    ) -> tuple[tuple[float, ...], ...]:
        """Losses on resamples of the prompts, of drawn strategies that may be promoted."""
        features = self.features.get(strategy.digest)
        if features is None or images >= ladder[-1]:
            return ()
        figure = frechet_paired(features[:images], self.base[:images])
        return tuple(float(figure(one)) for one in rungs.weights(images)), ()

    def _measured(self, features: NDArray[np.float64], images: int) -> float:
        value = frechet_paired(features[:images], self.base[:images])(np.ones(images))
        return max(LEAST, float(value))

    def told(self, strategy: Strategy) -> NDArray[np.float64]:
        """What the model reads: the description, and what the calls cost together."""
        costs = np.log([self.latency.predict(strategy), strategy.calls])
        return np.concatenate([self.describe(strategy), costs])

    def figure(self, strategy: Strategy, images: int) -> float:
        """FD to the unaccelerated images on so many: as drawn, else as the model has it.

        On fewer images than all, the model's figure scatters as drawn ones do, by the strategy.
        """
        key = (strategy.digest, images)
        if key not in self.seen:
            whole = self.seen.get((strategy.digest, SIZES[-1]))
            value = (
                float(self.model.predict(self.told(strategy)[None])[0])
                if whole is None
                else float(np.log(whole))
            )
            if images in self.fewer:
                value = self.fewer[images].draw(value, strategy.digest)
            self.seen[key] = float(np.exp(value))
        return self.seen[key]

    def check(self) -> dict[str, Any]:
        """Errors of the model on strategies that it was not fitted on, in natural logarithms."""
        truth, guess = self.logs, np.empty(len(self.logs))
        for fit, test in KFold(FOLDS, shuffle=True, random_state=0).split(truth):
            guess[test] = Mixture().fit(self.told_all[fit], truth[fit]).predict(self.told_all[test])
        error = guess - truth
        rows = {"all": np.ones(len(truth), bool)}
        for origin in dict.fromkeys(self.origins):
            rows[origin] = np.array([one == origin for one in self.origins])
        return {
            "strategies": len(truth),
            "folds": FOLDS,
            "images": SIZES[-1],
            "spread_on_fewer_images": {n: round(one.spread, 3) for n, one in self.fewer.items()},
            "held_out": {
                name: {
                    "strategies": int(chosen.sum()),
                    "median_absolute_error": round(float(np.median(np.abs(error[chosen]))), 3),
                    "rms_error": round(float(np.sqrt(np.square(error[chosen]).mean())), 3),
                    "kendall_tau": round(float(kendalltau(guess[chosen], truth[chosen])[0]), 3),
                    "spearman": round(float(spearmanr(guess[chosen], truth[chosen])[0]), 3),
                }
                for name, chosen in rows.items()
            },
        }


class Drawn(Table):
    """A table that draws what it does not have, and keeps it for all searches.

    Args:
        model: whose table.
        folder: of what was drawn, the strategy beside its features.
        answers: whether a search is answered by drawing, else by the table.
    """

    def __init__(self, model: str, folder: Path, answers: bool = True) -> None:
        super().__init__(model)
        self.folder, self.answers = folder, answers
        folder.mkdir(parents=True, exist_ok=True)
        self.evaluator = Evaluator(read_model(model))

    def figure(self, strategy: Strategy, images: int) -> float:
        """FD to the unaccelerated images on so many, drawn."""
        if not self.answers:
            return super().figure(strategy, images)
        digest = strategy.digest
        if (digest, images) not in self.seen:
            whole = self._path(digest, "search", SIZES[-1]).exists()
            count = SIZES[-1] if whole else images
            features = self.read(strategy, "search", count).astype(float)
            self.features[digest] = features
            sizes = [n for n in SIZES if n <= count]
            self.seen |= {(digest, n): self._measured(features, n) for n in sizes}
        return self.seen[digest, images]

    def _path(self, digest: str, split: str, images: int) -> Path:
        return self.folder / f"{split}-{images}-{digest}.safetensors"

    def read(self, strategy: Strategy, split: str, images: int) -> NDArray[np.float32]:
        """Features of the first images of a split, from the folder where they are there."""
        path = self._path(strategy.digest, split, images)
        if not path.exists():
            chosen = self.evaluator.prompts[split].first(images)  # type: ignore[index]
            drawn = self.evaluator.draw("drawn", strategy, chosen).features("bundled")
            part = path.with_suffix(f".part{os.getpid()}")
            text = json.dumps(strategy.to_json())
            save_file({"features": np.asarray(drawn, np.float32)}, part, {"strategy": text})
            part.replace(path)
        found: NDArray[np.float32] = load_file(path)["features"]
        return found


if __name__ == "__main__":
    main()
