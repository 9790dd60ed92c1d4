"""Benchmarks of images: quality of strategies at equal latency, without loss, after a transfer."""
