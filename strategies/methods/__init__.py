"""The knobs of every method, one file each; importing this package registers them all."""

from strategies.methods import (
    atedm,
    blockcache,
    cat,
    catome,
    dato,
    deepcache,
    deltacache,
    fora,
    guidance,
    paradigms,
    tgate,
    toca,
    tome,
)

__all__ = [
    "atedm",
    "blockcache",
    "cat",
    "catome",
    "dato",
    "deepcache",
    "deltacache",
    "fora",
    "guidance",
    "paradigms",
    "tgate",
    "toca",
    "tome",
]
