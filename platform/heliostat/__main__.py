"""Command line as ``python -m heliostat``, for a shell without the script."""

import sys

from heliostat.cli import main

sys.exit(main())
