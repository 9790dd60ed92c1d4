"""Command lines of `python -m accel`: parse, call, print."""
