"""Values for trackers: an event's numbers by name, and the settings of a run as flat text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from search.tracking.events import Event

PROGRESS = ("hypervolume", "front", "spent_s", "seconds")


def event_numbers(event: Event) -> dict[str, float]:
    """Numbers of an event by name, without unknown ones.

    An `evaluation` has `scores/...` and `search/...`, a `final` has `heldout/...`, and `exported`
    has `summary/...`; any other event has none.
    """
    found: dict[str, Any] = {}
    if event.kind == "evaluation":
        found |= {f"scores/{name}": value for name, value in event.data["scores"].items()}
        found |= {f"search/{name}": event.data[name] for name in PROGRESS}
        found["search/failed"] = float(bool(event.data["error"]))
    elif event.kind == "final":
        found |= {f"heldout/{name}": value for name, value in event.data["scores"].items()}
    elif event.kind == "exported":
        found |= {f"summary/{name}": value for name, value in event.data["summary"].items()}
    return {name: float(value) for name, value in found.items() if isinstance(value, int | float)}


def config_entries(config: Mapping[str, Any]) -> dict[str, str]:
    """Entries of a config with dotted names; a list becomes one text."""
    return dict(_flat(config, ""))


def _flat(value: Any, name: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _flat(item, f"{name}.{key}".lstrip("."))
    else:
        yield name, ", ".join(map(str, value)) if isinstance(value, list) else str(value)
