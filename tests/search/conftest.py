"""Searches at the sizes of tests."""

from __future__ import annotations

from tests.support.runs.light import light, sharp, sketched

__all__ = ["light", "sharp", "sketched"]
