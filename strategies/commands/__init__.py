"""Command lines of `python -m strategies`, and what all command lines share."""
