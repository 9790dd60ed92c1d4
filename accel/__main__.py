"""Entry point of `python -m accel`."""

import sys

from strategies.commands.interrupts import guarded

sys.exit(guarded("accel.cli"))
