"""sFID: the Frechet distance over spatial Inception features (Nash et al., 2021, 2103.03841).

Seven channels of mixed_6/conv, as Dhariwal and Nichol (2105.05233) evaluate it.
"""

from evaluate.metrics.shared import frechet

METRIC = frechet.make("sfid", "sFID", "inception-spatial", "2103.03841", "DeepCache, FORA")
