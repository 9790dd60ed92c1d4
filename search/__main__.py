"""`python -m search`."""

import sys

from strategies.interrupts import guarded

sys.exit(guarded("search.cli"))
