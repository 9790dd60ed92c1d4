"""Counts and latencies of `examples/serve.py` in the text format of Prometheus."""

from __future__ import annotations

import threading
from collections import Counter, defaultdict

BOUNDS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)  # Seconds, of the latency histogram.


class Metrics:
    """Counts and latencies of each strategy; only the worker thread and the lock holder write."""

    def __init__(self) -> None:
        self.requests: Counter[tuple[str, str]] = Counter()
        self.batches: Counter[str] = Counter()
        self.latencies: dict[str, list[int]] = defaultdict(lambda: [0] * (len(BOUNDS) + 1))
        self.seconds: Counter[str] = Counter()
        self.compiled: dict[str, float] = {}
        self._lock = threading.Lock()

    def count(self, strategy: str, outcome: str) -> None:
        """Count a request."""
        with self._lock:
            self.requests[strategy, outcome] += 1

    def generated(self, strategy: str, latencies: list[float]) -> None:
        """Count a batch that is done, with the seconds from the arrival of each request."""
        with self._lock:
            self.batches[strategy] += 1
            for seconds in latencies:
                self.requests[strategy, "ok"] += 1
                self.seconds[strategy] += seconds
                place = sum(seconds > bound for bound in BOUNDS)
                self.latencies[strategy][place] += 1

    def compiled_in(self, strategy: str, seconds: float) -> None:
        """Note how long the first generation of a strategy took to compile."""
        with self._lock:
            self.compiled[strategy] = seconds

    def text(self, waiting: int, ready: bool = True) -> str:
        """The text format of Prometheus."""
        with self._lock:
            lines = ["# TYPE stratagem_waiting gauge", f"stratagem_waiting {waiting}"]
            lines += ["# TYPE stratagem_ready gauge", f"stratagem_ready {int(ready)}"]
            if self.compiled:
                lines.append("# TYPE stratagem_compile_seconds gauge")
            for name, seconds in sorted(self.compiled.items()):
                lines.append(f'stratagem_compile_seconds{{strategy="{name}"}} {seconds:.3f}')
            lines.append("# TYPE stratagem_requests_total counter")
            for (name, outcome), count in sorted(self.requests.items()):
                labels = f'strategy="{name}",outcome="{outcome}"'
                lines.append(f"stratagem_requests_total{{{labels}}} {count}")
            lines.append("# TYPE stratagem_batches_total counter")
            for name, count in sorted(self.batches.items()):
                lines.append(f'stratagem_batches_total{{strategy="{name}"}} {count}')
            lines.append("# TYPE stratagem_latency_seconds histogram")
            for name, counts in sorted(self.latencies.items()):
                total = 0
                for bound, count in zip((*BOUNDS, "+Inf"), counts, strict=True):
                    total += count
                    labels = f'strategy="{name}",le="{bound}"'
                    lines.append(f"stratagem_latency_seconds_bucket{{{labels}}} {total}")
                labels = f'{{strategy="{name}"}}'
                lines.append(f"stratagem_latency_seconds_sum{labels} {self.seconds[name]:.6f}")
                lines.append(f"stratagem_latency_seconds_count{labels} {total}")
        return "\n".join(lines) + "\n"
