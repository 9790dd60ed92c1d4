"""The acceleration methods, in the order in which they are attached: a later one wraps the others.

T-GATE therefore decides whether an attention runs before a token method reduces its tokens. Block
Caching decides whether the block around it runs, DeepCache and DeltaCache which part of the
network, and guidance which half of the batch.
"""

from accel.method import Attach
from accel.methods import (
    atedm,
    blockcache,
    cat,
    catome,
    dato,
    deepcache,
    deltacache,
    fora,
    guidance,
    tgate,
    toca,
    tome,
)

METHODS: dict[str, Attach] = {
    "tome": tome.attach,
    "dato": dato.attach,
    "catome": catome.attach,
    "tgate": tgate.attach,
    "blockcache": blockcache.attach,
    "deepcache": deepcache.attach,
    "cat": cat.attach,
    "atedm": atedm.attach,
    "toca": toca.attach,
    "fora": fora.attach,
    "deltacache": deltacache.attach,
    "guidance": guidance.attach,
}
