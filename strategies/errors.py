"""What goes wrong with strategies, as one exception type."""


class StrategyError(ValueError):
    """A strategy that cannot be read, is not valid, or does not fit what it is applied to.

    The message says what was given, what is allowed and what to do.
    """
