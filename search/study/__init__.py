"""The log of a search, and everything that follows from it alone. The only writer of the log."""
