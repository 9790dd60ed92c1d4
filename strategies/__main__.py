"""`python -m strategies`."""

import sys

from strategies.interrupts import guarded

sys.exit(guarded("strategies.cli"))
