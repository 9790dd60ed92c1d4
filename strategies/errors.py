"""The exception type for everything that is wrong with a strategy."""

from strategies.text import safe_line


class StrategyError(ValueError):
    """A strategy that cannot be read, is not valid, or does not fit a pipeline.

    The message says what was given, what is allowed and what to do. It is one printable line:
    quoted parts of a file are cut, and characters that a terminal acts on are escaped.
    """

    def __init__(self, message: object = "") -> None:
        super().__init__(safe_line(str(message)))
