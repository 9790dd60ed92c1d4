"""Metadata of a run, so that it is read without its model: unaccelerated scores and versions."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version

from search.objectives.objectives import Objectives
from search.study.measurements import Measurements
from search.study.study import Study
from strategies.plugins import entry_points

PACKAGES = ("diffusion-stratagem", "torch", "diffusers", "pymoo", "numpy")


def keep_measurements(
    study: Study, base_scores: Mapping[str, float], objectives: Objectives
) -> None:
    """Keep what was measured before the first evaluation.

    Args:
        study: log of the run.
        base_scores: scores of the unaccelerated pipeline.
        objectives: objectives of the search.
    """
    versions = {
        package: _version(package) for package in (*PACKAGES, *entry_points.plugin_packages())
    }
    Measurements(study).keep_prepared(
        base_scores, objectives.reference_point, objectives.unscaled, versions
    )


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
