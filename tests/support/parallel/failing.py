"""One of two processes, of which the second fails while the first is busy: `RANK FOLDER`."""

from __future__ import annotations

import sys
import time

if __name__ == "__main__":
    if sys.argv[1] == "0":
        time.sleep(600)
    raise KeyError("of the second process")
