"""KD: KID's kernel over the bundled 64 features, for the bundled models alone."""

from evaluate.metrics.shared import kernel
from evaluate.statistics.distances import cubic

METRIC = kernel.make(
    "kd", "KD", "bundled", cubic, 1.0, "1801.01401, over the bundled network", "{:.0f}", 400.0
)  # fmt: skip
