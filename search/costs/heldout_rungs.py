"""Growing sets of held-out prompts on which finalists are scored one after the other.

Each set is the beginning of the next one, so no image is generated twice.
"""

from __future__ import annotations

MIN_FIRST_SET = 24  # Images of the smallest set, where there are twice as many in all.
LONGEST = 3  # Finalists that are expected to be scored on every set.


def levels(images: int) -> tuple[int, ...]:
    """Sizes of the sets, ascending; each is about half of the next.

    Args:
        images: size of the largest set.
    """
    found = [images]
    while found[0] >= 2 * MIN_FIRST_SET:
        found.insert(0, -(-found[0] // 2))
    return tuple(found)


def expected(finalists: int, images: int) -> int:
    """Number of images that finalists are expected to be scored on, all together.

    All are scored on the smallest set. About half of them, and at least `LONGEST`, are scored on
    each larger one.
    """
    found, done, left = 0, 0, finalists
    for level in levels(images):
        found += left * (level - done)
        done, left = level, max(min(left, LONGEST), (left + 1) // 2)
    return found
