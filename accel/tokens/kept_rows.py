"""Keys and values of one attention, kept from call to call for tokens that do not run."""

from __future__ import annotations

from torch import Tensor


class KeyValueRows:
    """Keys or values of one attention during a pass, or both side by side.

    Attributes:
        before: rows of all tokens, each from the last call at which it ran, if this pass needs
            them.
        after: the same with the rows of this pass, if a later call needs them.
    """

    def __init__(self) -> None:
        self.before: Tensor | None = None
        self.after: Tensor | None = None
