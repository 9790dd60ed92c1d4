"""Benchmarks of work: multiply-accumulates, kernel launches, blocks that run."""
