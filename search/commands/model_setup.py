"""Settings of a search and its model, from the flags."""

from __future__ import annotations

import argparse
import os
from datetime import datetime
from pathlib import Path
from typing import Any

import torch

from accel import families
from accel.commands import model_flags
from accel.models import checks, few_steps, precision
from accel.models.config import IMAGENET, ModelConfig, is_config
from accel.models.loading import default_device, load_pipeline
from accel.models.resolve import find_config, resolve_model
from evaluate.commands import task_flags
from evaluate.evaluator import read_prompts
from evaluate.images import input_images, references
from evaluate.verdicts import parse_margin
from search import budget as budgets
from search import config as configuration
from search.commands.flags.model_options import CHANGES
from search.config import SearchConfig
from search.images.unaccelerated import real_reference
from search.objectives.metric_set import find_weights
from search.results import run_settings as settled
from search.run_folder import consent, inputs
from search.run_folder import creation as founding
from search.run_folder import finished_run as finished
from search.run_folder import study_copy as copies
from search.study import run_lock as lock
from strategies import StrategyError
from strategies.data_files.configs import configs

FLAGS = {"seeds": "initial"}  # Settings whose flag has another name.


def load_model(flags: argparse.Namespace) -> tuple[Any, ModelConfig]:
    """Load the pipeline on the CPU, and its config as workers load it.

    Raises:
        StrategyError: there is no such model, it cannot be loaded, or a setting is wrong.
    """
    name = flags.model or "tiny-sd"
    changes = {key: getattr(flags, name) for name, keys in CHANGES.items() for key in keys}
    changes.pop("source")  # Not a setting, but where the weights are.
    changes["search_prompts"] = _place(flags.prompts)
    changes |= task_flags.task_settings(flags) | model_flags.asked_parts(flags)
    # One list for both is read from its two ends.
    changes["heldout_prompts"] = _place(flags.heldout_prompts or flags.prompts)
    if changes["scheduler"]:
        kind, bracket, rest = changes["scheduler"].partition("(")
        changes["scheduler"] = f"{kind.removesuffix('Scheduler')}Scheduler{bracket}{rest}"
    changes = _few(flags) | {key: value for key, value in changes.items() if value is not None}
    if not is_config(name):  # The pipeline is loaded on the CPU, and by workers on their devices.
        changes.setdefault("dtype", precision.of_model(name, default_device()))
    return resolve_model(name, "cpu", flags.download, changes=changes, source=flags.source)


def _few(flags: argparse.Namespace) -> dict[str, Any]:
    """Settings of the model that --few-steps asks for, if it is given."""
    return few_steps.few_step_settings(flags.few_steps) if flags.few_steps else {}


def _few_space(model: ModelConfig, family: str, asked: dict[str, Any]) -> dict[str, Any]:
    """Settings of the space of a few-step model: its solver, all numbers of steps up to its own."""
    found: dict[str, Any] = {
        "schedulers": [model.scheduler],
        "steps": list(range(1, model.steps + 1)),
    }
    if asked.get("methods") is None and f"{family}-few" in configs("spaces"):
        found["space"] = f"{family}-few"
    return asked | {key: value for key, value in found.items() if asked.get(key) is None}


def check_weights(flags: argparse.Namespace, settings: dict[str, Any]) -> None:
    """Check the weights of the model and of the metrics before a model is loaded.

    Raises:
        StrategyError: an unknown model or metric, or weights that are missing.
    """
    name = flags.model or "tiny-sd"
    config = find_config(name, flags.source) if is_config(name) else None
    subject = None if config is None else config.subject
    asked = configuration.named_settings(settings, subject)
    metrics = configuration.figures_of(asked, subject).metrics
    checks.together(
        lambda: checks.model(name, flags.source, flags.download),
        lambda: find_weights(metrics, flags.download),
    )


def reference_settings(flags: argparse.Namespace) -> dict[str, Any]:
    """Settings of the reference among these flags."""
    reference = flags.reference
    return {
        "reference": reference if reference == "self" else _place(reference),
        "reference_images": flags.reference_images,
        "reference_per_class": flags.reference_per_class,
    }


def unresumable_flags(flags: argparse.Namespace) -> list[str]:
    """Given flags that a resumed run does not take."""
    return [*(name for name in CHANGES if getattr(flags, name) is not None),
            *model_flags.given_flags(flags)]  # fmt: skip


def check_requirements(config: SearchConfig, download: bool) -> None:
    """Check that everything a search needs is there, before anything long.

    Raises:
        StrategyError: too few prompts, weights that are missing, or a reference that does not
            exist.
    """
    model = config.model
    input_images.check_input_images(model, config.images, config.heldout_images)
    lists = read_prompts(model)
    lists["search"].first(config.images)
    lists["heldout"].first(config.heldout_images)
    if config.reference == "self" and config.reference_images is not None:
        for split in ("search", "heldout"):
            lists[split].first(config.reference_images)
    both, there = config.images + config.heldout_images, len(lists["search"].texts)
    if model.search_prompts == model.heldout_prompts and both > there:
        raise StrategyError(
            f"{config.images} images of the search and {config.heldout_images} held-out ones need "
            f"{both} prompts; {model.search_prompts} has {there}. Ask for fewer, or give another "
            "list with --heldout-prompts"
        )
    find_weights(config.metric_set.metrics, download)
    source = config.reference
    if source is not None and source != "self":
        references.check_reference(source, config.reference_per_class)
    if source is None or (source != "self" and not Path(source).is_dir()):
        real_reference(config)


def _place(source: str | None) -> str | None:
    """Absolute path of a file, as a worker in another folder needs it; a name as it is."""
    if source is None or source == IMAGENET or source.startswith("zoo:"):
        return source
    return str(Path(source).resolve())


# Flags whose values are settings as they are: those of the search, and those of its space.
SETTINGS = {*SearchConfig.model_fields, "methods", "schedulers", "steps"} - {
    *("model", "warm_start", "storage"),
}
CROWD = 8  # Workers of each core, at most.


def _workers(flags: argparse.Namespace) -> int | None:
    """Number of workers if the flags leave it open: as many as the GPUs here have room for."""
    if flags.workers is None and flags.address:
        raise StrategyError("--address needs --workers, how many of the cluster's at most")
    given: int | None = flags.workers
    if given is not None or not torch.cuda.is_available():
        return given
    return max(1, int(torch.cuda.device_count() / (_group(flags)["gpus_per_worker"] or 1)))


def _group(flags: argparse.Namespace) -> dict[str, Any]:
    """GPUs and processes of each worker; with --parallel one of them follows from the other."""
    gpus, processes = flags.gpus_per_worker, flags.processes_per_worker
    if flags.parallel and (torch.cuda.is_available() or flags.address):
        processes = int(gpus or 1) if processes is None else processes
        gpus = float(processes) if gpus is None else gpus
    return {"gpus_per_worker": gpus, "processes_per_worker": processes}


def settings_and_pipeline(flags: argparse.Namespace) -> tuple[Any, SearchConfig, Path]:
    """The loaded pipeline, the search's checked settings, and its folder."""
    asked = settings_asked(flags)
    return _new(flags, asked) if flags.resume is None else _resumed(flags, asked)


def settings_asked(flags: argparse.Namespace) -> dict[str, Any]:
    """The settings of a search that the flags ask for, by name; None where they ask for nothing."""
    asked = {name: value for name, value in vars(flags).items() if name in SETTINGS}
    return (
        asked
        | reference_settings(flags)
        | {
            "objectives": flags.objective,
            "margins": dict(map(parse_margin, flags.margin or ())) or None,
        }
    )


def _new(flags: argparse.Namespace, asked: dict[str, Any]) -> tuple[Any, SearchConfig, Path]:
    if flags.recorded_prompts:
        raise StrategyError(f"{inputs.FLAG} goes with --resume, for a run that has recorded some")
    asked["workers"] = _workers(flags)
    asked |= _group(flags)
    if flags.out is not None and not flags.dry_run:
        lock.check_free(flags.out)
        founding.check_new_folder(flags.out)
    check_weights(flags, asked)
    pipe, model = load_model(flags)
    family = families.find_sites(pipe)[0]
    if flags.few_steps:
        asked = _few_space(model, family, asked)
    config = configuration.resolve(model, asked, family)
    _check(config, flags.download)
    stamp = datetime.now().strftime("%Y%m%d-%H%M%S")
    folder = flags.out or Path("runs") / f"{config.model.name}-{stamp}"
    return pipe, _stored(config, folder, flags.storage), folder


def _resumed(flags: argparse.Namespace, asked: dict[str, Any]) -> tuple[Any, SearchConfig, Path]:
    before = settled.read_settings(flags.resume)
    consent.check_consent(flags.resume, before.model, flags.model)
    asked["warm_start"] = flags.warm_start
    asked["storage"] = None if before.storage else flags.storage
    fixed = [
        key for key, value in asked.items() if value is not None and key not in settled.RESUMABLE
    ]
    fixed += unresumable_flags(flags)
    if fixed or flags.out is not None:
        name = FLAGS.get(fixed[0], fixed[0]).replace("_", "-") if fixed else "out"
        raise StrategyError(
            f"--{name} cannot change in a resumed run; what can is "
            f"{', '.join('--' + key.replace('_', '-') for key in settled.RESUMABLE)}"
        )
    new = {key: asked[key] for key in settled.RESUMABLE if asked[key] is not None}
    config = configuration.build_config(before.model_dump() | new)
    if not flags.dry_run:
        finished.check_unfinished(flags.resume, before, config, flags.storage)
    if flags.recorded_prompts:
        config = inputs.record(flags.resume, config)
    try:
        read_prompts(config.model)
    except StrategyError as error:
        raise inputs.hint(error, flags.resume) from None
    _check(config, flags.download)
    return load_pipeline(config.model, download=flags.download), config, flags.resume


def _check(config: SearchConfig, download: bool) -> None:
    budgets.parse_budget(config.budget)
    cores = os.cpu_count() or 1
    processes = config.workers * config.processes_per_worker
    if processes > CROWD * cores and not config.address and not torch.cuda.is_available():
        each = config.processes_per_worker
        what = "each a process" if each == 1 else f"each {each} processes"
        raise StrategyError(
            f"--workers {config.workers} asked for, {what} that hold"
            f"{'s' * (each == 1)} the model, but this machine has {cores} cores; give at most "
            f"{CROWD * cores // each}, or a cluster by --address"
        )
    check_requirements(config, download)


def _stored(config: SearchConfig, folder: Path, url: str | None) -> SearchConfig:
    """Settings of a new run with the location of its study."""
    if not url:
        return config
    from search.study.storage.database import parse_url, public

    # A database may hold many studies, also of equally named folders.
    kept = {
        "storage": public(parse_url(url)),
        "study": copies.copy_name(folder),
    }
    return configuration.build_config(config.model_dump() | kept)
