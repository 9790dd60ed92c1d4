"""Inputs that the scores of a run depend on: prompts, weights, reference, networks and packages.

A run notes digests of all of them when it begins, and compares them whenever it is resumed. Scores
of other inputs cannot be compared, so it continues with the same inputs or not at all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from shlex import quote
from typing import Any

from evaluate import fingerprint, model_files
from evaluate.evaluator import Split, read_prompts
from evaluate.images import input_images, recorded_prompts, references
from evaluate.images.prompts import Prompts
from search.config import SearchConfig
from strategies import StrategyError
from strategies.data_files import whole

FOLDER = "inputs"  # Folder of a run with its prompts.
FLAG = "--recorded-prompts"
SPLITS: dict[Split, str] = {"search": "the prompts of the search", "heldout": "held-out prompts"}
Marks = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Inputs:
    """Present inputs of a run.

    Attributes:
        prompts: prompts of every split.
        weights: one digest of the model's parts.
        marks: digests of everything that scores depend on, by kind and name.
    """

    prompts: dict[Split, Prompts]
    weights: str
    marks: Marks

    @cached_property
    def origin(self) -> str:
        """One digest of all inputs; kept features have to come from the same."""
        return fingerprint.combined(self.marks)


def collect_inputs(config: SearchConfig) -> Inputs:
    """The present inputs.

    Raises:
        StrategyError: prompts, model or reference cannot be read.
    """
    model = config.model
    lists, parts = read_prompts(model), model_files.model_digests(model.source, model)
    metrics, found = config.metric_set.metrics, dict[str, str]()
    if config.metric_set.needs_reference and config.reference != "self":
        found = {
            "images": references.reference_fingerprint(
                config.reference, config.reference_per_class, model.subject
            )
        }
    networks = {metric.network for metric in metrics if metric.network is not None}
    marks: dict[str, dict[str, Any]] = {
        "prompts": {
            one: fingerprint.combined(
                recorded_prompts.prompt_rows(used_prompts(config, lists, one))
            )
            for one in SPLITS
        },
        "weights": parts,
        "reference": found,
        "networks": {name: references.of_network(name, model.subject) for name in sorted(networks)},
        "packages": fingerprint.package_versions() | model_files.packages(model),
    }  # fmt: skip
    drawn_from = {one: input_images.marks(used_prompts(config, lists, one)) for one in SPLITS}
    if any(drawn_from.values()):
        marks["images"] = {one: fingerprint.combined(row) for one, row in drawn_from.items()}
    return Inputs(lists, fingerprint.combined(parts), marks)


def used_prompts(config: SearchConfig, lists: Mapping[Split, Prompts], split: Split) -> Prompts:
    """Prompts of a split that the run uses."""
    count = config.images if split == "search" else config.heldout_images
    if config.reference == "self":
        count = max(count, config.reference_images or 0)
    return lists[split].first(min(count, len(lists[split].texts)))


def prompts_path(folder: Path, split: Split) -> Path:
    """File of a run with the prompts of a split."""
    return folder / FOLDER / f"{split}{recorded_prompts.SUFFIX}"


def keep_prompts(folder: Path, config: SearchConfig, there: Inputs) -> None:
    """Keep the prompts of a run in its folder.

    Raises:
        UnwritableError: the prompts cannot be written.
    """
    whole.make_folder(folder / FOLDER)
    for split in SPLITS:
        if not prompts_path(folder, split).is_file():
            recorded_prompts.write(
                used_prompts(config, there.prompts, split), prompts_path(folder, split)
            )


def check_same_inputs(
    kept: Mapping[str, Any] | None, folder: Path, config: SearchConfig, there: Inputs
) -> None:
    """Compare the present inputs with those that a run has noted.

    Args:
        kept: inputs that its study has noted, if any.
        folder: folder of the run.
        config: settings of the run.
        there: the present inputs.

    Raises:
        StrategyError: an input has changed; the error names it, and says what to do.
    """
    if kept is None:
        return
    changed = changed_inputs(kept["marks"], there.marks, config)
    if changed:
        raise StrategyError(
            f"{folder}: inputs of its scores have changed since it began: "
            f"{', '.join(changed)}; {remedy(folder, kept['marks'], there.marks)}"
        )


def changed_inputs(former: Marks, now: Marks, config: SearchConfig) -> list[str]:
    """Names of the inputs that differ."""
    model, found = config.model, list[str]()
    sources = {"search": model.search_prompts, "heldout": model.heldout_prompts}
    for split, words in SPLITS.items():
        if former["prompts"][split] != now["prompts"][split]:
            found.append(f"{words} ({sources[split]})")
    parts = _names(former["weights"], now["weights"])
    if parts:
        found.append(f"{', '.join(parts)} of the model ({model.source})")
    if _names(former["reference"], now["reference"]):
        found.append(f"the reference ({config.reference or 'the bundled one'})")
    if _names(former.get("images", {}), now.get("images", {})):
        found.append(f"the input images ({', '.join(filter(None, (model.inputs, model.masks)))})")
    found += [f"the network {name}" for name in _names(former["networks"], now["networks"])]
    for name, version in former["packages"].items():
        other = now["packages"].get(name, version)
        if other != version:
            found.append(f"{name} ({version}, now {other})")
    return found


def _names(former: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    return [name for name in {**former, **now} if former.get(name) != now.get(name)]


def remedy(folder: Path, former: Marks, now: Marks) -> str:
    """Advice for a run whose inputs have changed."""
    apart = {kind for kind in former if _names(former[kind], now.get(kind, {}))}
    first = (
        f"continue with the recorded prompts by {FLAG}" if apart == {"prompts"} else "put it back"
    )
    return (
        f"{first}, or start a new run with its strategies as hints by --warm-start "
        f"{quote(str(folder))}"
    )


def record(folder: Path, config: SearchConfig) -> SearchConfig:
    """Settings of a run with its recorded prompts in place of those that they name.

    Raises:
        StrategyError: the run has recorded no prompts.
    """
    for split in SPLITS:
        if not prompts_path(folder, split).is_file():
            raise StrategyError(f"{folder} has no recorded prompts ({prompts_path(folder, split)})")
    changed = {f"{split}_prompts": str(prompts_path(folder, split).absolute()) for split in SPLITS}
    return config.model_copy(update={"model": config.model.model_copy(update=changed)})


def hint(error: StrategyError, folder: Path) -> StrategyError:
    """An error about unreadable prompts, with advice if the run has recorded its own."""
    if prompts_path(folder, "search").is_file() and FLAG not in str(error):
        return StrategyError(f"{error}; the run has recorded its own: continue with {FLAG}")
    return error


def other_inputs_line(
    source: str, kept: Mapping[str, Any] | None, there: Inputs, config: SearchConfig
) -> str:
    """Line for a warm start from a run with other inputs; empty if they are the same."""
    changed = changed_inputs(kept["marks"], there.marks, config) if kept else []
    if not changed:
        return ""
    return (
        f"--warm-start {source}: scored with other inputs ({', '.join(changed)}); its strategies "
        "are hints, and everything is scored again"
    )
