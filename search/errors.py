"""Errors that end a search."""

from __future__ import annotations

from strategies import StrategyError


class SearchError(StrategyError):
    """A search that cannot go on; what it has found so far is written.

    Attributes:
        code: of the command line's exit; 2 is for what it was given.
    """

    code = 1

    def with_how(self, how: str) -> SearchError:
        """The same error, which says how to go on.

        Args:
            how: the command.
        """
        return self


class WorkersLostError(SearchError):
    """The workers or their runtime are gone, for good. No worker knows how to go on."""

    def with_how(self, how: str) -> SearchError:
        return SearchError(f"{self}; {how}")
