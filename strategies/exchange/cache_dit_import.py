"""Strategies from settings of cache-dit, so that they can be applied, scored and compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from strategies.data_files import reading, yaml_files
from strategies.errors import StrategyError
from strategies.exchange.block_cache import FAMILIES, slopes, text_is_read
from strategies.solvers import calls_of
from strategies.step_masks import NAMES, published_mask
from strategies.strategy import Strategy
from strategies.text import brief, cut

SUFFIXES = (".yaml", ".yml")
# Values that cache-dit takes where a file says nothing.
FRONT, TAIL = 8, 0
REFUSED = {
    "enable_dmd": "its DMD calibrator",
    "enable_foca": "its FoCa calibrator",
    "force_refresh_step_hint": "a refresh in the middle of a generation",
}


class Given(NamedTuple):
    """Facts that a file of cache-dit need not have; None takes those of the file."""

    family: str | None = None
    scheduler: str | None = None
    steps: int | None = None


NOTHING = Given()


def imported(source: str, given: Given = NOTHING) -> Strategy:
    """Strategy from a settings file of cache-dit, or from one of its masks by name.

    Args:
        source: path of a JSON or YAML file, or one of `NAMES`.
        given: facts that are not in the file; they go before those that are.

    Raises:
        StrategyError: the file cannot be read, a fact is missing, or a strategy cannot express a
            setting; names it.
    """
    if source in NAMES:
        if given.steps is None:
            raise StrategyError(f"mask {source!r} depends on the number of steps; give --steps")
        mask = {"steps_computation_mask": source, "num_inference_steps": given.steps}
        own = {"Fn_compute_blocks": 1, "steps_computation_policy": "static"}
        return from_settings({"cache_config": mask | own}, given, source)
    data = _data(Path(source))
    try:
        return from_settings(data, given, Path(source).stem)
    except StrategyError as error:
        raise StrategyError(f"{source}: {error}") from None


def from_settings(data: Any, given: Given = NOTHING, name: str = "") -> Strategy:
    """Strategy from cache-dit's settings as plain data.

    Raises:
        StrategyError: a fact is missing, or a strategy cannot express a setting; names it.
    """
    if not isinstance(data, Mapping):
        raise StrategyError(f"settings of cache-dit are a mapping, not {brief(data)}")
    config = data.get("cache_config", data)
    about = data.get("strategy", {})
    if not isinstance(config, Mapping) or not isinstance(about, Mapping):
        raise StrategyError("cache_config and strategy must be mappings of names to values")
    _check(config)
    mask = _mask(config)
    family, scheduler = _fact("family", given, about), _fact("scheduler", given, about)
    steps = given.steps or about.get("steps") or len(mask)
    if family not in FAMILIES:
        raise StrategyError(f"family is {brief(family)}; give one of {', '.join(FAMILIES)}")
    made = calls_of(str(scheduler), steps) if isinstance(steps, int) else None
    if made is not None and made != len(mask):
        raise StrategyError(
            f"steps_computation_mask has {len(mask)} values, but {steps} steps of {scheduler} make "
            f"{made} calls; give the number of steps of the mask"
        )
    front, tail = _blocks(config, "Fn_compute_blocks", FRONT), _blocks(config, "Bn_compute_blocks")
    knobs = {
        "depth": ["full" if computed else front for computed in mask],
        "tail": [0 if computed else tail for computed in mask],
        "order": _orders(config, mask, text_is_read(str(family), tail)),
    }
    solver = {} if given.scheduler else about.get("solver", {})
    origin = {"tool": "cache-dit", "name": cut(name, 200)}
    return Strategy.create(
        name=about.get("name") or cut(name, 200),
        family=family,
        scheduler=scheduler,
        solver=solver,
        steps=steps,
        calls=len(mask),
        methods={"deltacache": knobs},
        provenance={"imported_from": origin},
    )


def _data(path: Path) -> Any:
    if path.suffix in SUFFIXES:
        return yaml_files.read_yaml(path)
    try:
        text = reading.decode(reading.read_bytes(path), str(path))
    except FileNotFoundError:
        masks = ", ".join(NAMES)
        raise StrategyError(f"{path}: no such file, and no mask of cache-dit ({masks})") from None
    try:
        return reading.from_json(text)
    except StrategyError as error:
        raise StrategyError(f"{path}: {error}") from None


def _fact(name: str, given: Given, about: Mapping[str, Any]) -> Any:
    value = getattr(given, name) or about.get(name)
    if value is None:
        raise StrategyError(f"the settings say no {name}; give --{name}")
    return value


def _check(config: Mapping[str, Any]) -> None:
    """Refuse settings that no strategy expresses."""
    if config.get("cache_type", "DBCache") != "DBCache":
        raise StrategyError(
            f"cache_type is {brief(config['cache_type'])}; a strategy expresses DBCache alone"
        )
    for name, what in REFUSED.items():
        if config.get(name):
            raise StrategyError(f"{name} is {brief(config[name])}; no strategy expresses {what}")
    for name in ("taylorseer_cache_type", "calibrator_cache_type"):
        if config.get(name, "residual") != "residual":
            raise StrategyError(f"{name} is {brief(config[name])}; a strategy keeps the residual")


def _mask(config: Mapping[str, Any]) -> tuple[bool, ...]:
    mask, steps = config.get("steps_computation_mask"), config.get("num_inference_steps")
    if mask is None:
        raise StrategyError(
            "steps_computation_mask is missing; without it cache-dit decides by a threshold while "
            "it runs, and a strategy is fixed before"
        )
    if steps is not None and (type(steps) is not int or steps < 1):
        raise StrategyError(f"num_inference_steps is {brief(steps)}; give a whole number from 1")
    if isinstance(mask, str):
        if steps is None:
            raise StrategyError(f"mask {brief(mask)} needs num_inference_steps")
        mask = [int(one) for one in published_mask(mask, steps)]
    _check_values(mask, steps)
    if config.get("steps_computation_policy", "dynamic") != "static" and not all(mask):
        raise StrategyError(
            'steps_computation_policy is "dynamic", so that a threshold decides while it runs; '
            'give "static" to take the mask as it is'
        )
    return tuple(bool(one) for one in mask)


def _check_values(mask: Any, steps: int | None) -> None:
    if not isinstance(mask, Sequence) or not mask:
        raise StrategyError(f"steps_computation_mask is {brief(mask)}; give a list of 0 and 1")
    for call, value in enumerate(mask):
        if type(value) is not int or value not in (0, 1):
            raise StrategyError(f"steps_computation_mask[{call}] is {brief(value)}; give 0 or 1")
    if mask[0] == 0:
        raise StrategyError(
            "steps_computation_mask[0] is 0; nothing is there to reuse at the first call"
        )
    if steps is not None and steps != len(mask):
        raise StrategyError(
            f"steps_computation_mask has {len(mask)} values and num_inference_steps is {steps}; "
            "give as many"
        )


def _blocks(config: Mapping[str, Any], name: str, usual: int = TAIL) -> int:
    value = config.get(name, usual)
    least = 1 if usual else 0
    if type(value) is not int or value < least:
        raise StrategyError(f"{name} is {brief(value)}; give a whole number from {least}")
    return value


def _orders(config: Mapping[str, Any], mask: tuple[bool, ...], text: bool) -> list[int]:
    if not config.get("enable_taylorseer"):
        return [0] * len(mask)
    order = config.get("taylorseer_order", 1)
    if order != 1:
        raise StrategyError(
            f"taylorseer_order is {brief(order)}; a strategy expresses order 1: a higher one is "
            "Taylor's polynomial with one-sided differences"
        )
    if text and not config.get("enable_encoder_taylorseer"):
        raise StrategyError(
            "enable_taylorseer without enable_encoder_taylorseer extrapolates one stream of tokens "
            "alone; a strategy extrapolates all, so give both"
        )
    return list(slopes(mask))
