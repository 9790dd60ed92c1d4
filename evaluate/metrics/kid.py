"""KID: the kernel distance over Inception features (Binkowski et al., 2018, 1801.01401).

Closed form over all pairs; times 1,000, as it is mostly reported.
"""

from evaluate.metrics.shared import kernel
from evaluate.statistics.distances import cubic

METRIC = kernel.make("kid", "KID x 1000", "inception", cubic, 1000.0, "1801.01401", "{:.3f}", 0.5)
