"""What failed in the last test run, run again alone: ``python tools/again.py`` after a failed ``make test`` (docs/adr/0036).

A failure that comes again fails. One that does not is told in the last lines: it is a race in a test or in the product, to be
mended next. More than ``MOST`` failures are never luck.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

MOST = 3
TIMES = 2
FAILED = Path(".pytest_cache/v/cache/lastfailed")


def failed() -> list[str]:
    """Node ids of what failed or erred; none when the run itself broke (then there is nothing to run again)."""
    try:
        return sorted(json.loads(FAILED.read_text()))
    except FileNotFoundError:
        return []


def main() -> int:
    """0 when each of a few failures passed every time; else 1."""
    names = failed()
    if not 0 < len(names) <= MOST:
        print(f"== {len(names)} failures on record: nothing is run again", file=sys.stderr)
        return 1
    for _ in range(TIMES):
        if subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *names], check=False
        ).returncode:
            return 1
    for name in names:
        print(f"== FAILED ONCE, THEN PASSED {TIMES} TIMES ALONE, to be mended: {name}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
