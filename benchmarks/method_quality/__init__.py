"""Benchmarks of methods alone: quality and latency at the settings of their papers."""
