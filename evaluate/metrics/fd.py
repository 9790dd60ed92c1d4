"""FD: the Frechet distance over the bundled 64 features, for the bundled models alone."""

from evaluate.metrics.shared import frechet

METRIC = frechet.make("fd", "FD", "bundled", "1706.08500, over the bundled network", margin=6.0)
