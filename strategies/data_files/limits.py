"""Limits of a file from elsewhere. Each is far above the size of a real file.

With them, a strategy file is read, checked, shown and refused in time and memory that grow with its
size alone. The largest published preset has 800 values.
"""

from __future__ import annotations

MAX_BYTES = 4_000_000  # Bytes of a strategy file.
MAX_VALUES = 50_000  # Values of a file in lists and objects, at every depth.
MAX_DEPTH = 32  # Nesting of lists and objects.
MAX_TEXT = 20_000  # Characters of one text.
MAX_KEY = 200  # Characters of the name of an entry.
MAX_DIGITS = 40  # Characters of one whole number.
MAX_WHOLE = 2**64  # Whole numbers are smaller, whatever their sign.

MAX_CALLS = 2_000  # A solver of two calls per step over all 1000 timesteps makes 1999.
MAX_STEPS = 10_000
MAX_BLOCKS = 256  # That a method names one by one; Stable Diffusion XL has 87.
MAX_GROUPS = 256  # Groups of blocks; FLUX has 57 blocks.

MAX_YAML_BYTES = 32_000  # Bytes of a config; the largest of ours has 830.
MAX_YAML_VALUES = 5_000  # Values of a config, with every alias written out.
