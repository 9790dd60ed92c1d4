"""Searches at the sizes of tests."""

from __future__ import annotations

from tests.support.runs.light import light, sharp

__all__ = ["light", "sharp"]
