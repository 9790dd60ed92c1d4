"""Benchmarks of the sampler's speed, with networks of random weights."""
