"""Comparison of several runs: their fronts, hypervolumes and settings."""
