"""``python -m heliostat``: the command line, also where its script is not on PATH."""

import sys

from heliostat.cli import main

sys.exit(main())
