"""Checks that a network is one that a method can act on, and that it stays so.

Knows modules of diffusers and no method.
"""
