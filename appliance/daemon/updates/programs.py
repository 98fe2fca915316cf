"""Running the machine's own programs for an update: the installer, a version's scripts, a version's command."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

_TAIL: Final = 400
_ENVIRONMENT: Final = {"PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "LANG": "en_US.UTF-8"}


@dataclass(frozen=True, slots=True)
class Ran:
    """How a program ended: its exit status and the last that it said."""

    status: int
    said: str


class Programs(Protocol):
    """Where programs are run; a test has its own."""

    def run(self, words: Sequence[str], limit_s: float, *, hold: int, owner: Path | None = None) -> Ran:
        """Run ``words`` to their end, as the owner of the file ``owner`` if one is given.

        They inherit the descriptor ``hold`` (``Place.work``), and keep it when this process is killed.

        Raises:
            OSError, TimeoutExpired: they could not be started, or did not end.
        """
        ...


class Machine:
    """Implements ``Programs`` on the machine itself, in an environment that nobody else furnished."""

    def run(self, words: Sequence[str], limit_s: float, *, hold: int, owner: Path | None = None) -> Ran:
        """See ``Programs.run``."""
        user = group = None
        if owner is not None:
            user, group = owner.stat().st_uid, owner.stat().st_gid
        done = subprocess.run(
            words, env=_ENVIRONMENT, cwd="/", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, errors="replace", timeout=limit_s, check=False, user=user, group=group,
            extra_groups=[] if user else None, pass_fds=(hold,),
        )  # fmt: skip
        return Ran(done.returncode, done.stdout)


def last_line(said: str) -> str:
    """What a program said at its end, in one line, for a report."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return lines[-1][-_TAIL:] if lines else "it said nothing"
