"""Errors that end a search."""

from __future__ import annotations

from strategies import StrategyError


class SearchError(StrategyError):
    """A search that has to stop; everything that it has found so far is written.

    Attributes:
        code: exit code of the command line; 2 is for wrong arguments.
    """

    code = 1

    def with_how(self, how: str) -> SearchError:
        """The same error, with the command if it does not say how to continue.

        Args:
            how: command that continues the run.
        """
        return self


class WorkersLostError(SearchError):
    """The workers or their runtime are lost. No worker knows how the run can be continued."""

    def with_how(self, how: str) -> SearchError:
        return SearchError(f"{self}; {how}")
