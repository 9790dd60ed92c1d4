"""The file of the tabular benchmark: drawn strategies, to which searches add.

    python -m benchmarks run tabular_draw tiny-sd --out runs/tabular --rounds 12
    python -m benchmarks run tabular pack tiny-sd --drawn runs/tabular
    python -m benchmarks run tabular extend tiny-sd --drawn runs/drawn
    python -m benchmarks run tabular take tiny-pixart --run runs/a-search
    python -m benchmarks run tabular check tiny-sd

`pack` writes `benchmarks/tables/MODEL.safetensors`: genomes, features of 16 images of each strategy
and of the unaccelerated model, and the latency table. `extend` adds what searches have drawn
(`python -m benchmarks run efficiency --draw`), `take` what a run of `python -m search` has scored:
figures without features. `check` says how wrong the model that answers for all other strategies
(`search_quality/table_lookup.py`) is on those that it has not seen, by origin, and writes
`benchmarks/results/tabular-MODEL.json`. A search that is run on the table costs no drawing; what it
finds is confirmed by drawing.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from accel.models.config import read_model
from accel.models.loading import quiet
from benchmarks import entry
from benchmarks.entry import RESULTS
from benchmarks.search_quality.table_lookup import (
    APART,
    LEAST,
    NARROW,
    SCORED,
    SIZES,
    Table,
    make_space,
)  # fmt: skip
from search.study.study import Study
from strategies import Strategy
from strategies.data_files.configs import read_config
from strategies.genomes.space import Genome


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
        target = RESULTS / f"tabular-{flags.model}.json"
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
        "space": json.dumps(read_config("spaces", NARROW[model])),
    }
    apart: dict[str, NDArray[Any]] = {}
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
    added: dict[str, NDArray[Any]] = dict(zip(SCORED, (scored, values), strict=True))
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
    target = entry.TABLES / f"{model}.safetensors"
    target.parent.mkdir(exist_ok=True)
    tensors: dict[str, NDArray[Any]] = {
        "genomes": np.array(genomes, np.int8),
        "features": np.array(features, np.float16),
        "unaccelerated": base,
        **apart,
    }
    save_file(tensors, target, notes)
    print(f"{target}: {len(genomes)} strategies, {target.stat().st_size / 2**20:.1f} MiB")


if __name__ == "__main__":
    main()
