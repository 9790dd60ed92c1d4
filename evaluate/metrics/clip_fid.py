"""CLIP-FID: the Frechet distance over CLIP ViT-B/32 (Kynkaanniemi et al., 2022, 2203.06026)."""

from evaluate.metrics.shared import frechet

METRIC = frechet.make("clip-fid", "CLIP-FID", "clip-b32", "2203.06026", margin=0.5)
