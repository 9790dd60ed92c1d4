"""Benchmarks of searches: algorithms compared on tables and with generated images."""
