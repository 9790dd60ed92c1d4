"""Entry point of `python -m evaluate`."""

import sys

from strategies.commands.interrupts import guarded

sys.exit(guarded("evaluate.cli"))
