"""FID: the Frechet distance over Inception features, resized as clean-fid does.

Heusel et al., 2017 (1706.08500); resizing and network of Parmar et al., 2022 (2104.11222).
"""

from evaluate.metrics.shared import frechet

METRIC = frechet.make(
    "fid", "FID", "inception", "1706.08500 and 2104.11222",
    "DaTo, CA-ToMe, ToMe for SD, DeepCache, T-GATE, FORA",
)  # fmt: skip
