"""The knobs of every method, one file each; importing this package registers them all."""

from strategies.methods import deepcache, tome

__all__ = ["deepcache", "tome"]
