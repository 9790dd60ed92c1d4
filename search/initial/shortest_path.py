"""Which calls to compute, from what it costs the images to reuse each stretch of calls.

A schedule is a path 0 = k0 < k1 < ... over the calls that are computed; the calls between two of
them reuse. Two ways to choose the best path of a given length:

- minimax, as LeMiCa (NeurIPS 2025) has it: the path whose stretches' errors, sorted from the worst
  down, are lexicographically smallest, because errors of stretches do not simply add up;
- the smallest sum where a stretch's error depends on the computed call before it too, as DPCache
  (CVPR 2026) has it, by dynamic programming over pairs of computed calls. What is extrapolated
  from two computed calls needs this.

Written from the papers' abstracts and reviews of them; no code of theirs.
"""

from __future__ import annotations

from collections.abc import Callable

Errors = dict[tuple[int, int], float]
Path = tuple[int, ...]


def minimax(errors: Errors, calls: int, computed: int) -> Path | None:
    """The path of so many computed calls with the lexicographically smallest sorted errors.

    Args:
        errors: of the stretch from one computed call to the next, `(i, j)`; the last `j` is
            `calls`. Stretches that are not in it are not allowed.

    Returns:
        The computed calls, or None where no path is allowed.
    """
    best: dict[tuple[int, int], tuple[tuple[float, ...], Path]] = {(0, 0): ((), (0,))}
    for done in range(computed):
        for (i, j), error in sorted(errors.items()):
            before = best.get((done, i))
            last = done + 1 == computed
            if before is None or last != (j == calls):
                continue
            worst = tuple(sorted((*before[0], error), reverse=True))
            key = (done + 1, j)
            if key not in best or worst < best[key][0]:
                best[key] = worst, before[1] if last else (*before[1], j)
    found = best.get((computed, calls))
    return None if found is None else found[1]


def smallest_sum(
    cost: Callable[[int | None, int, int], float | None], calls: int, computed: int
) -> Path | None:
    """The path of so many computed calls with the smallest sum of errors.

    Args:
        cost: of the stretch `(i, j)` after the computed call before `i`, which is None for the
            first; None where the stretch is not allowed.

    Returns:
        The computed calls, or None where no path is allowed.
    """
    # The best way to have computed the pair (i, j) last, j being `calls` at the end.
    best: dict[tuple[int | None, int], tuple[float, Path]] = {(None, 0): (0.0, (0,))}
    for done in range(computed):
        ends = [calls] if done + 1 == computed else range(1, calls)
        new: dict[tuple[int | None, int], tuple[float, Path]] = {}
        for (before, i), (total, path) in best.items():
            for j in ends:
                error = cost(before, i, j) if j > i else None
                if error is None:
                    continue
                entry = (total + error, path if j == calls else (*path, j))
                if (i, j) not in new or entry < new[i, j]:
                    new[i, j] = entry
        best = new
    return min(best.values())[1] if best else None
