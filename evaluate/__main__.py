"""`python -m evaluate`."""

import sys

from strategies.interrupts import guarded

sys.exit(guarded("evaluate.cli"))
