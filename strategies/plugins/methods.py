"""Check of a method that another package adds."""

from __future__ import annotations

from typing import Any

from strategies.plugins.entry_points import is_reference
from strategies.text import brief

DECLARED = ("method", "paper", "families", "per_call", "neutral")  # Without a default.


def why_unusable(base: type[Any], name: str, value: Any) -> str:
    """Reason why the plug-in of a method cannot be used; empty if it can be.

    Args:
        base: `strategies.knobs.Knobs`.
        name: name of the entry point.
        value: object that it points to.
    """
    if not (isinstance(value, type) and issubclass(value, base)):
        return f"it must be a subclass of Knobs, not {brief(value)}"
    kind: Any = value
    lacks = [one for one in DECLARED if not hasattr(kind, one)]
    if lacks:
        return f"its class lacks {', '.join(lacks)}"
    if kind.method != name:
        return f"its method is called {kind.method!r}; the entry point must have that name"
    for knob in kind.per_call:
        if knob not in kind.model_fields or knob not in kind.neutral:
            return f"its per-call knob {knob!r} needs a field and a value in `neutral`"
    if not is_reference(kind.sampler):
        return f"its sampler is {kind.sampler!r}; give 'module:function'"
    return ""
