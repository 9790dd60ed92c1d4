"""Order in which finalists are followed to the full set."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from search.finalists.no_loss import NoLoss

FULL = 384
MARGINS = {"right_shape": 0.02}


class Standings:
    """Finalists with equal images so far; an image takes as long as its latency says.

    Args:
        latencies: seconds of an image, by name; the unaccelerated one takes a second.
        changes: loss of right answers so far, by name.
    """

    ceiling, common, levels = 1e9, 24, (24, 48, 96, 192, FULL)

    def __init__(self, latencies: dict[str, float], changes: dict[str, float]) -> None:
        self._latencies, self._changes = latencies, changes
        self.baselines = set[str]()
        self.rows = {
            name: SimpleNamespace(objectives=(1.0, one)) for name, one in latencies.items()
        }

    def alive(self, _: int) -> list[str]:
        return list(self._latencies)

    def sound(self) -> list[str]:
        return list(self._latencies)

    def held(self, name: str) -> Any:
        change = self._changes[name]
        figures = SimpleNamespace(
            intervals={"right_shape_change": [change, change - 0.1, change + 0.1]}
        )
        return SimpleNamespace(images=24, by_images={24: figures})

    def cost(self, name: str, level: int) -> float:
        return self._latencies[name] * (level - 24)

    def speed(self, name: str) -> float:
        return 1 / self._latencies[name]

    def seconds_left(self) -> float:
        return self.ceiling

    def unaccelerated_seconds(self, _: int) -> float:
        return 0.0


def followed(latencies: dict[str, float], changes: dict[str, float], slots: int) -> list[str]:
    anything: Any = SimpleNamespace(slots=slots)
    standings: Any = Standings(latencies, changes)
    objectives = ("fd_base", "latency_s")
    made = NoLoss(standings, FULL, MARGINS, 6, anything, objectives, anything, anything, anything)
    return [name for name, _ in made.likely()]


def test_a_fast_strategy_is_followed_before_a_slow_one_of_equal_promise() -> None:
    """It gains more and costs less."""
    latencies = {"slow": 0.5, "fast": 0.05, "middle": 0.2}
    assert followed(latencies, dict.fromkeys(latencies, 0.0), 3) == ["fast", "middle", "slow"]


def test_seconds_count_beside_the_chance() -> None:
    """A slow strategy may promise more, and still less for each second."""
    latencies, changes = {"slow": 0.4, "fast": 0.1}, {"slow": 0.0, "fast": -0.03}
    assert followed(latencies, changes, 1) == ["fast"]
    latencies["fast"] = 0.39
    assert followed(latencies, changes, 1) == ["slow"]
