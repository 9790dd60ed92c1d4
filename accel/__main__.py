"""`python -m accel`."""

import sys

from strategies.interrupts import guarded

sys.exit(guarded("accel.cli"))
