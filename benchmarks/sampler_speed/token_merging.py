"""Taking rows and averaging them, as the token methods do it and with a gather and a scatter.

    python -m benchmarks run merging

Processor time on one thread, the two forms in turn, the best of five; both give the same bits.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import torch
from torch import Tensor

from accel.tokens.merging import Reduction, match, split_grid

SIZES = ((2, 16, 64), (2, 32, 32), (16, 32, 32), (2, 64, 320))


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    torch.set_num_threads(1)
    print("| rows, tokens, channels | gather and scatter, ms | now, ms | ratio |")
    print("| --- | --- | --- | --- |")
    for count, side, width in SIZES:
        tokens = torch.randn(count, side * side, width)
        merge = match(tokens, *split_grid(side, side, 2, tokens.device), side * side // 2)
        assert torch.equal(before(merge, tokens), now(merge, tokens))
        turns = [(spent(before, merge, tokens), spent(now, merge, tokens)) for _ in range(5)]
        old, new = (1e3 * min(column) for column in zip(*turns, strict=True))
        shape = f"{count}, {side * side}, {width}"
        print(f"| {shape} | {old:.3f} | {new:.3f} | {old / new:.1f}x |", flush=True)


def now(merge: Reduction, tokens: Tensor) -> Tensor:
    return merge.restore(merge.reduce(tokens))


def before(merge: Reduction, tokens: Tensor) -> Tensor:
    assert merge.merged is not None
    assert merge.into is not None
    kept, merged, back, into = (
        index.unsqueeze(-1).expand(-1, -1, tokens.shape[-1])
        for index in (merge.kept, merge.merged, merge.back, merge.into)
    )
    reduced = tokens.gather(1, kept)
    reduced.scatter_reduce_(1, into, tokens.gather(1, merged), "mean")
    return reduced.gather(1, back)


def spent(call: Callable[[Reduction, Tensor], Tensor], merge: Reduction, tokens: Tensor) -> float:
    """Processor seconds of a call, over 20."""
    began = time.process_time()
    for _ in range(20):
        call(merge, tokens)
    return (time.process_time() - began) / 20


if __name__ == "__main__":
    main()
