"""Benchmarks of the metrics: exactness, and agreement on few images."""
