"""`python -m search`."""

import sys

from search.interruption import Ending

ending = Ending()
ending.watch()  # Before anything that takes long to import.

try:
    from strategies.commands.interrupts import guarded

    code = guarded("search.cli")
except KeyboardInterrupt:
    print("interrupted", file=sys.stderr)
    code = 130
ending.asked = True  # Nothing is left to be written: a signal ends the process at once.
sys.exit(code)
