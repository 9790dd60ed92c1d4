"""`python -m strategies space`: the genes of a search space, their choices, and its size."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping
from math import log10
from typing import Any

from strategies import describe
from strategies.commands.result_output import CommandParser
from strategies.data_files.configs import configs, read_config
from strategies.errors import StrategyError
from strategies.genomes.compose import fitted, genes, of_methods, resolved
from strategies.genomes.genes import AnyGene, Gene, OneOf
from strategies.genomes.space import SearchSpace
from strategies.plugins.families import OWN, family_names
from strategies.solvers import calls_of

MODEL = "tiny-sd"


def add(made: CommandParser) -> None:
    """Add the flags."""
    made.add_argument(
        "--methods",
        metavar="NAMES",
        help="compose the space of these methods, such as deepcache,catome",
    )
    made.add_argument(
        "--model",
        metavar="NAME",
        help="model whose solvers, steps and family the space has: "
        f"{', '.join(configs('models'))} or a .yaml file (default: {MODEL})",
    )
    made.add_argument(
        "--space",
        metavar="NAME",
        help=f"space, in place of the model's: {', '.join(configs('spaces'))} or a .yaml file",
    )
    made.add_result_flags("genes, choices and size", "one row for each gene")


def method_names(text: str) -> list[str]:
    """Methods in a comma-separated list."""
    return [word.strip() for word in text.split(",") if word.strip()]


def space_settings(flags: argparse.Namespace) -> tuple[dict[str, Any], str]:
    """Resolved settings of the space that the flags name, and its family.

    Raises:
        StrategyError: an unknown model, space or method, or the family cannot be told.
    """
    name = flags.model or MODEL
    if name not in configs("models") and not name.endswith((".yaml", ".yml")):
        raise StrategyError(
            f"model {name!r} is unknown; there are {', '.join(configs('models'))}, or give a "
            ".yaml file; of a folder, give --space and leave --model out"
        )
    model = read_config("models", name)
    own = str(model.get("space", ""))
    settings = read_config("spaces", flags.space or own)
    if flags.space is None and own in configs("spaces"):
        settings = fitted(settings, str(model["scheduler"]), int(model["steps"]))
    if flags.methods is not None:
        settings = of_methods(settings, method_names(flags.methods))
    family = settings.get("family") or _family(settings)
    return resolved(settings, str(family)), str(family)


def _family(settings: Mapping[str, Any]) -> str:
    """The only family that a space without a family's name fits."""
    fits = []
    for family in family_names():
        try:
            _made(settings, family)
        except StrategyError:
            continue
        fits.append(family)
    if not fits:
        _made(settings, OWN[0])  # Says what is wrong.
    return fits[0]


def _made(settings: Mapping[str, Any], family: str) -> SearchSpace:
    settings = resolved(settings, family)
    pairs = [(s, n) for s in settings["schedulers"] for n in settings["steps"]]
    calls = {(s, n): calls_of(s, n) or n for s, n in pairs}
    solvers, steps = settings["schedulers"], sorted(settings["steps"])
    fixed = settings.get("fixed")
    return SearchSpace(family, solvers, steps, calls, genes(settings), fixed)


def facts(settings: Mapping[str, Any], family: str) -> dict[str, Any]:
    """Description of a space as plain data."""
    space = _made(settings, family)
    return {
        "family": family,
        "schedulers": list(space.solvers),
        "steps": list(space.steps),
        "methods": settings.get("composed") or _methods((*space.global_genes, *space.call_genes)),
        "whole": [_gene(gene) for gene in space.global_genes],
        "per_call": [_gene(gene) for gene in space.call_genes],
        "slots": space.slots,
        "genes": len(space.sizes),
        "log10_size": round(sum(log10(size) for size in space.sizes), 1),
    }


def _methods(found: Iterable[AnyGene]) -> list[str]:
    return list(dict.fromkeys(method for gene in found for method, _ in gene.knobs))


def _gene(gene: AnyGene) -> dict[str, Any]:
    if isinstance(gene, Gene | OneOf):
        return {"name": gene.name, "choices": list(gene.choices)}
    choices = [{f"{m}.{k}": value for m, k, value in act} for act in gene.choices]
    return {"name": gene.name, "choices": choices}


def space_lines(found: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Description of a space in words: names and values."""
    rows = [(name, ", ".join(map(str, found[name]))) for name in ("schedulers", "steps", "methods")]
    for part, when in (("whole", "whole generation"), ("per_call", "every call")):
        rows += [(f"{g['name']} ({when})", _words(g["choices"])) for g in found[part]]
    size = found["log10_size"]
    rows.append(("size", f"{found['genes']} genes, 10^{size:g} genomes, {found['slots']} slots"))
    return rows


def _words(choices: list[Any]) -> str:
    if not any(isinstance(choice, dict) for choice in choices):
        return ", ".join("none" if c is None else describe.text(c) for c in choices)
    return "; ".join(
        ", ".join(f"{name} {describe.text(value)}" for name, value in act.items()) or "nothing"
        for act in choices
    )
