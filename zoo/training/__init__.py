"""The stages of training a bundled model, one file each, run in order by `python -m zoo.train`."""
