"""The strategy search: proposers, study, workers, front, exports and the command line."""

import time

BEGAN = time.monotonic()  # Before anything slow is imported.
