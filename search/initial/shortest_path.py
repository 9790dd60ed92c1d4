"""Choice of the calls to compute, from the errors of reusing each stretch of calls.

A schedule is a path 0 = k0 < k1 < ... over the calls that are computed; the calls between two of
them reuse. There are two ways to choose the best path of a given length:

- minimax, as in LeMiCa (NeurIPS 2025): the path whose stretches' errors, sorted from the worst
  down, are lexicographically smallest, because errors of stretches do not simply add up;
- the smallest sum, as in DPCache (CVPR 2026): a stretch's error also depends on the computed call
  before it, and dynamic programming runs over pairs of computed calls. Extrapolation from two
  computed calls needs this.

It was written from the papers' abstracts and reviews of them, without their code.
"""

from __future__ import annotations

from collections.abc import Callable

Errors = dict[tuple[int, int], float]
Path = tuple[int, ...]


def minimax(errors: Errors, calls: int, computed: int) -> Path | None:
    """Path of `computed` calls with the lexicographically smallest sorted errors.

    Args:
        errors: error of the stretch from one computed call to the next, `(i, j)`; the last `j` is
            `calls`. A stretch that is missing is not allowed.
        calls: number of calls of the generation.
        computed: number of computed calls.

    Returns:
        The computed calls, or None if no path is allowed.
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
    """Path of `computed` calls with the smallest sum of errors.

    Args:
        cost: error of the stretch `(i, j)` after the computed call before `i`, which is None for
            the first one; it returns None if the stretch is not allowed.
        calls: number of calls of the generation.
        computed: number of computed calls.

    Returns:
        The computed calls, or None if no path is allowed.
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
