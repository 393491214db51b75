"""Program of a driver that receives its task, with the code, on standard input.

The bytes come through a pipe from the process that called ``hs.start``; no file holds
them.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from heliostat.errors import RequestError, RunFailed, StoreError


def main() -> None:
    """Bring the run to its goal; an error becomes a line in the log of the driver."""
    request = json.loads(sys.stdin.buffer.readline())
    code = sys.stdin.buffer.read()
    sys.path[:] = request["path"]
    from heliostat.driver.verbs import resume
    from heliostat.fleet.pickles import unpickle_task
    from heliostat.results.run import Run

    try:
        resume(Run(Path(request["run"]), unpickle_task(code)), **request["options"])
    except (RequestError, RunFailed, StoreError) as error:
        sys.exit(f"heliostat: error: {error}")
    except KeyboardInterrupt:
        sys.exit("heliostat: interrupted")


if __name__ == "__main__":
    main()
