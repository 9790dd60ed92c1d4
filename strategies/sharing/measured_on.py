"""Comparison of the model that a strategy was measured on with the model that it is used on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from strategies.strategy import Strategy


def model_differences(
    strategy: Strategy,
    model: str,
    dtype: str | None = None,
    parts: Mapping[str, Any] | None = None,
    weights: Mapping[str, str] | None = None,
) -> list[str]:
    """Differences between the model that a strategy was measured on and another one, in words.

    Args:
        strategy: strategy with the provenance of its scores.
        model: name of the other model.
        dtype: precision of its weights; None if it does not matter.
        parts: its parts beside the source; None if they do not matter.
        weights: fingerprint of each of its parts; None if they are not known.

    Returns:
        Nothing if it was measured on the same model, or if its file does not say on which.
    """
    where = strategy.provenance
    if not strategy.scores or not isinstance(where.get("model"), str):
        return []
    found = [] if where["model"] == model else [f"model {where['model']}"]
    kept = where.get("weights")
    if weights is not None and isinstance(kept, Mapping):
        # Fingerprints in files are cut.
        other = [
            name
            for name in sorted({*kept, *weights})
            if not weights.get(name, "").startswith(str(kept.get(name, "?")))
        ]
        found += [f"other {', '.join(other)}"] if other else []
    elif parts is not None and dict(where.get("parts") or {}) != dict(parts):
        found.append("other parts")
    if dtype is not None and where.get("dtype") not in (None, dtype):
        found.append(f"precision {where['dtype']}")
    return found


def measured_on_line(name: str, model: str, found: list[str]) -> str:
    """Line for people: a strategy was measured on another model, and how to measure it here."""
    return (
        f"{name} was measured on another model than {model} ({'; '.join(found)}): its scores do "
        "not hold here; python -m evaluate measures them"
    )
