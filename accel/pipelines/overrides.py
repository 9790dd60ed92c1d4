"""Overrides of a pipeline's methods that tell when a generation starts and when it is over."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

from accel.patching.replacing import Undo


class Override:
    """Replacement of one method of a pipeline that calls a function before it.

    It holds the pipeline weakly, so that it does not keep its weights alive. In a copy or a pickle
    of the pipeline it only calls the method.
    """

    def __init__(self, pipe: Any, name: str, before: Callable[[], None] | None = None) -> None:
        self._pipe, self._name, self._before = weakref.ref(pipe), name, before

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        pipe: Any = self._pipe()
        if self._before is not None:
            self._before()
        return getattr(type(pipe), self._name)(pipe, *args, **kwargs)

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        copied = memo.get(id(self._pipe()))
        return self if copied is None else Override(copied, self._name)

    def __reduce__(self) -> Any:
        return Override, (self._pipe(), self._name)


def override(pipe: Any, name: str, before: Callable[[], None]) -> Undo:
    """Call `before` whenever a method of this pipeline is called, until undone.

    Pipelines without that method are left alone.
    """
    if not hasattr(type(pipe), name):
        return lambda: None
    there = weakref.ref(pipe)
    vars(pipe)[name] = made = Override(pipe, name, before)

    def undo() -> None:
        pipe = there()
        if pipe is not None and vars(pipe).get(name) is made:
            del vars(pipe)[name]

    return undo
