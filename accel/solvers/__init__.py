"""Schedulers of diffusers: exchanging them, their steps, their noise, observing them.

Knows no method and no family.
"""
