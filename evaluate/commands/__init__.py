"""Command lines of `python -m evaluate`: flags, checks of flags."""
