"""What goes wrong with strategies, as one exception type."""

from strategies.text import safe_line


class StrategyError(ValueError):
    """A strategy that cannot be read, is not valid, or does not fit what it is applied to.

    The message says what was given, what is allowed and what to do. It is one line that prints:
    whatever it quotes of a file is cut, and characters that a terminal acts on are escaped.
    """

    def __init__(self, message: object = "") -> None:
        super().__init__(safe_line(str(message)))
