"""Entry point of `python -m strategies`."""

import sys

from strategies.commands.interrupts import guarded

sys.exit(guarded("strategies.cli"))
