"""Spaces composed from the search choices that methods declare.

A space file or `--methods` names methods (`methods: [deepcache, catome]`). Methods that take tokens
out of self-attention cannot act at the same call, so they share one gene per call, `tokens`.
Methods that leave tokens out of the network cannot be in one strategy. They share one gene per
call, `share`, and a gene of the whole generation, `narrowing`, that chooses the method.

A composed space is written into a run's settings gene by gene, with the methods under `composed`. A
run therefore resumes with the same space, whatever later versions declare.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from strategies.errors import StrategyError
from strategies.genomes.genes import (
    AnyGene,
    Gene,
    OneOf,
    Shared,
    check_family,
    read_acts,
    split_name,
)
from strategies.knobs import Knobs, registered_methods
from strategies.solvers import exchangeable

ENTRIES = (
    "schedulers", "steps", "knobs", "shared", "one_of", "fixed", "methods", "without", "family",
    "composed",
)  # fmt: skip
TOKENS, SHARE, NARROWING = "tokens", "share", "narrowing"


def resolved(settings: Mapping[str, Any], family: str) -> dict[str, Any]:
    """Settings of a space with its methods written out as genes.

    Args:
        settings: settings as in `configs/spaces/`.
        family: family of the model.

    Raises:
        StrategyError: an unknown entry, another family's space or method, or something given twice.
    """
    unknown = sorted(set(settings) - set(ENTRIES))
    if unknown:
        raise StrategyError(f"the space has an unknown entry {unknown[0]!r}")
    own = settings.get("family", family)
    if own != family:
        raise StrategyError(f"the space is for family {own}, but the model is of family {family}")
    found = {key: value for key, value in settings.items() if key not in ("methods", "without")}
    if "methods" not in settings:
        if "without" in settings:
            raise StrategyError("the space's entry 'without' goes with methods; leave it out")
        return found
    made = composed(family, settings["methods"], settings.get("without", ()))
    for part in ("knobs", "shared", "one_of"):
        given = settings.get(part) or {}
        twice = next((name for name in made[part] if name in given), None)
        if twice is not None:
            raise StrategyError(
                f"{twice} is given twice in the space, by its methods and under {part}; leave one "
                "of them out"
            )
        found[part] = {**made[part], **given}
    return found | {"composed": made["composed"]}


def composed(family: str, methods: Any, without: Sequence[str] = ()) -> dict[str, Any]:
    """Genes that some methods declare, in the form of a space file.

    Args:
        family: family of the model.
        methods: names of methods.
        without: knobs (`fora.cross`) and methods that have no effect on the model.

    Raises:
        StrategyError: no list of names, one given twice, or a method that does not fit the model.
    """
    if not isinstance(methods, list | tuple) or not methods:
        raise StrategyError(f"the space's methods must be a list of names, not {methods!r:.80}")
    kinds: list[type[Knobs]] = []
    for name in methods:
        check_family(str(name), family)
        if name in without:
            raise StrategyError(f"method {name} does not go with this model; take it out")
        if methods.count(name) > 1:
            raise StrategyError(f"method {name} is given twice; give it once")
        kinds.append(registered_methods()[name])
        if not (kinds[-1].choices or kinds[-1].joint_choices):
            raise StrategyError(
                f"method {name} declares no search choices; give its genes as knobs"
            )
    knobs = {
        f"{kind.method}.{knob}": _plain(choices)
        for kind in kinds
        for knob, choices in kind.choices.items()
        if f"{kind.method}.{knob}" not in without
    }
    shared, one_of = dict[str, Any](), dict[str, Any]()
    tokens = [kind for kind in kinds if kind.joint_choices and kind.reduces_tokens]
    if tokens:
        rows = [_named(kind, act) for kind in tokens for act in kind.joint_choices]
        shared[TOKENS] = [{}, *rows]
    narrowing = [kind for kind in kinds if kind.joint_choices and kind.runs_token_subset]
    if narrowing:
        shared[SHARE] = [{}, *_levels(narrowing)]
    if len(narrowing) > 1:
        one_of[NARROWING] = [kind.method for kind in narrowing]
    return {"knobs": knobs, "shared": shared, "one_of": one_of, "composed": list(methods)}


def of_methods(settings: Mapping[str, Any], methods: Sequence[str]) -> dict[str, Any]:
    """Solvers, steps and family of a space file, with the genes of these methods."""
    kept = {k: v for k, v in settings.items() if k in ("schedulers", "steps", "family", "without")}
    return kept | {"methods": list(methods)}


def fitted(settings: Mapping[str, Any], scheduler: str, steps: int) -> dict[str, Any]:
    """A bundled space with a model's own solver and steps added, and steps up to those.

    Solvers for another kind of model than the own solver's are left out.
    """
    solvers, counts = settings["schedulers"], set(settings["steps"])
    if scheduler not in solvers:
        solvers = [scheduler, *(one for one in solvers if exchangeable(one, scheduler))]
    counts |= {*range(30, steps, 10), steps}
    few = sorted(n for n in counts if n <= steps)
    return dict(settings) | {"schedulers": solvers, "steps": few}


def _named(kind: type[Knobs], act: Mapping[str, Any]) -> dict[str, Any]:
    return {f"{kind.method}.{knob}": _plain(value) for knob, value in act.items()}


def _levels(kinds: Sequence[type[Knobs]]) -> list[dict[str, Any]]:
    """Acts of the same strength, side by side; a method with fewer repeats its strongest."""
    rows = []
    for level in range(max(len(kind.joint_choices) for kind in kinds)):
        row: dict[str, Any] = {}
        for kind in kinds:
            row |= _named(kind, kind.joint_choices[min(level, len(kind.joint_choices) - 1)])
        rows.append(row)
    return rows


def _plain(value: Any) -> Any:
    """A value in the form that YAML has."""
    return [_plain(item) for item in value] if isinstance(value, tuple) else value


def genes(settings: Mapping[str, Any]) -> list[AnyGene]:
    """Genes of resolved settings.

    Raises:
        StrategyError: an entry of the wrong form.
    """
    parts = {name: settings.get(name) or {} for name in ("knobs", "shared", "one_of")}
    lists = [choices for part in parts.values() if isinstance(part, Mapping)
             for choices in part.values()]  # fmt: skip
    right = all(isinstance(part, Mapping) for part in parts.values())
    if not right or not all(isinstance(entry, list) and entry for entry in lists):
        raise StrategyError(
            "the space's schedulers, steps and each knob's choices must be lists that are not "
            "empty, and knobs a mapping such as {deepcache.depth: [full, 0, 1]}"
        )
    found: list[AnyGene] = [Gene(*split_name(n), tuple(v)) for n, v in parts["knobs"].items()]
    found += [Shared(str(name), read_acts(name, rows)) for name, rows in parts["shared"].items()]
    found += [OneOf(str(n), tuple(map(str, names))) for n, names in parts["one_of"].items()]
    return found
