"""Published schedules: the calls of a generation at which something is computed again."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence

from strategies.errors import StrategyError


def every(calls: int, interval: int) -> list[int]:
    """Calls 0, N, 2N, ...

    Raises:
        StrategyError: no positive interval.
    """
    if interval < 1:
        raise StrategyError(f"interval is {interval}; give a whole number from 1 up")
    return list(range(0, calls, interval))


def centred(
    calls: int, interval: int, centre: float | None = None, power: float = 1.4
) -> list[int]:
    """Schedule with as many calls as `every` gives, denser around a centre, with call 0 among them.

    This is DeepCache's non-uniform 1:N (section 3.3, "Non-uniform 1:N Inference"): points that are
    equally far apart in the `power`-th root of the distance to the centre, rounded down to calls.

    Args:
        calls: number of calls of the generation.
        interval: N, calls per full call on average.
        centre: call around which they are dense; None takes 15/50 of the generation.
        power: number of at least 1, which is uniform.

    Raises:
        StrategyError: no positive interval, a power below 1 or a centre outside the calls.
    """
    centre = 0.3 * calls if centre is None else centre
    if power < 1 or not 0 <= centre <= calls:
        raise StrategyError(
            f"centre is {centre} and power {power}; the centre must lie in 0 to {calls} and the "
            "power be at least 1"
        )
    count = len(every(calls, interval))
    low, high = -(centre ** (1 / power)), (calls - centre) ** (1 / power)
    found = {0}
    for i in range(count):
        root = low + (high - low) * i / count
        away = abs(root) ** power * (1 if root >= 0 else -1)
        found.add(min(calls - 1, max(0, int(centre + away + 1e-9))))
    return sorted(found)


def remap_events(calls: Sequence[int], indices: Sequence[int]) -> tuple[int, ...]:
    """Events at calls of an old schedule, mapped to a new one.

    Args:
        calls: calls of the events in the old schedule, ascending.
        indices: old call that each call of the new schedule stands for.

    Returns:
        For each event, the first new call that stands for the event's old call or a later one.
    """
    found, before = [], -1
    for new, old in enumerate(indices):
        if bisect_right(calls, before) < bisect_right(calls, old):
            found.append(new)
        before = old
    return tuple(found)


def happens(calls: Sequence[int], call: int) -> bool:
    """Whether a call is among ascending ones."""
    at = bisect_left(calls, call)
    return at < len(calls) and calls[at] == call


def nearest(calls: Sequence[int], call: int) -> int | None:
    """The nearest of ascending calls, the earlier of two; None without calls."""
    at = bisect_left(calls, call)
    beside = calls[max(0, at - 1) : at + 1]
    return min(beside, key=lambda other: abs(other - call), default=None)


def rescale(events: Sequence[int], calls: int, new_calls: int) -> list[int]:
    """Events of a schedule for another number of calls: as large a share, as dense in time.

    Args:
        events: calls of the old schedule, ascending.
        calls, new_calls: number of calls of the old and of the new schedule.

    Returns:
        Calls of the new schedule, ascending.
    """
    if not events:
        return []
    count = max(1, round(len(events) * new_calls / calls))
    found: list[int] = []
    for i in range(count):
        time = _quantile(events, calls, i / count)
        earliest = found[-1] + 1 if found else 0
        call = max(earliest, int(time * new_calls / calls + 1e-9))
        found.append(min(call, new_calls - (count - i)))
    return found


def between(mild: Sequence[int], extreme: Sequence[int], calls: int, share: float) -> list[int]:
    """Schedule between two others: as many events and as dense in time, in proportion.

    Each event is at the mean of the two schedules' quantiles (OTCache, arXiv 2606.31026, fills the
    budgets between two schedules that it has found in this way).

    Args:
        mild, extreme: calls of the events in both schedules, ascending.
        calls: number of calls of the generation.
        share: weight of the extreme one, 0 to 1.

    Returns:
        Calls of the events, ascending.
    """
    count = round(len(mild) + share * (len(extreme) - len(mild)))
    found: list[int] = []
    for i in range(count):
        times = [_quantile(one, calls, i / count) for one in (mild, extreme)]
        call = int(times[0] + share * (times[1] - times[0]) + 1e-9)
        earliest = found[-1] + 1 if found else 0
        found.append(min(max(earliest, call), calls - (count - i)))
    return found


def _quantile(events: Sequence[int], calls: int, share: float) -> float:
    """Time before which a share of the events lies."""
    ends, place = [*events, calls], share * len(events)
    low = int(place)
    return ends[low] + (place - low) * (ends[low + 1] - ends[low])


def neutral_where_skipped(
    values: Sequence[float], depths: Sequence[int | str] | None, off: float
) -> tuple[float, ...]:
    """Per-call values with `off` at calls of depth 0, at which no block runs."""
    if depths is None:
        return tuple(values)
    return tuple(off if d == 0 else v for v, d in zip(values, depths, strict=True))


def check_calls(calls: Sequence[int], count: int | None, name: str) -> None:
    """Refuse call numbers that are not ascending or, with `count`, not below it.

    Raises:
        ValueError: a number is refused; names the knob and the value.
    """
    for before, call in zip((-1, *calls), calls, strict=False):
        if call <= before or (count is not None and call >= count):
            limit = "" if count is None else f" and below {count}, the number of calls"
            raise ValueError(f"{name} has {call} after {before}; calls must be ascending{limit}")
