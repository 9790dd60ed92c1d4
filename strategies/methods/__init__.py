"""The knobs of every method, one file each; importing this package registers them all."""

from strategies.methods import blockcache, catome, dato, deepcache, fora, tgate, tome

__all__ = ["blockcache", "catome", "dato", "deepcache", "fora", "tgate", "tome"]
