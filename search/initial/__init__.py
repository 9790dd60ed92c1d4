"""Strategies evaluated first: pure functions of a space, latencies and measured errors."""
