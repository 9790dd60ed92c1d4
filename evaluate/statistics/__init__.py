"""Statistics of features and of means: distances, intervals.

Arrays only: no images, no networks, no metric.
"""
