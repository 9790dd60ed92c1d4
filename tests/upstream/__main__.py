"""`python -m tests.upstream`."""

import sys

from tests.upstream.cli import main

sys.exit(main())
