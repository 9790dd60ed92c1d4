"""Type of an acceleration method: a function that attaches it and returns the function that undoes
it.

`in_order` of `accel/methods/__init__.py` says in which order methods are attached. All their state
lives between `attach` and the undo that it returns.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from accel.call_records import Recorder
from accel.clock import Clock
from accel.patching.replacing import Undo
from accel.sites import Sites

Attach = Callable[[Sites, Clock, Any, Recorder], Undo]
