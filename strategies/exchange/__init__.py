"""Strategies as settings of other tools, and the settings of other tools as strategies."""
