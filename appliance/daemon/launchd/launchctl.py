"""launchctl(1) as far as a node needs it, and the one thing about it that bites: ``bootout`` does not wait.

It answers while the job is still draining, and its label stays taken until the job has ended. A ``bootstrap`` in that time
fails with 5 (input/output error) or 37 (operation already in progress), and afterwards nothing runs at all. So whoever
replaces a job waits here until launchd no longer knows its label, and tries again when launchd still refuses.
"""

from __future__ import annotations

import asyncio
import plistlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from appliance.daemon.launchd.errors import LAUNCHCTL_FAILED, STILL_LEAVING

NO_SUCH_JOB: Final = frozenset({3, 113})
"""``bootout`` and ``print`` of a label that launchd does not know."""
STILL_GOING: Final = frozenset({36, 37})
"""``bootout``: asked already, in progress."""
NOT_YET: Final = frozenset({5, 37})
"""``bootstrap``: the label is still taken, or (5 only) launchd has another objection, which then stays."""
MARGIN_S: Final = 15.0
"""Beyond the job's own ExitTimeOut, after which launchd kills it."""
SYSTEM: Final = "system"


@dataclass(frozen=True, slots=True)
class Launchctl:
    """Asks launchd. ``poll_s``: seconds between two looks at a job that leaves."""

    program: str = "/bin/launchctl"
    domain: str = SYSTEM
    poll_s: float = 0.25

    async def knows(self, label: str) -> bool:
        """Whether a job has this label, be it running, waiting or leaving.

        Raises:
            ProntuarioError: ``launchd.launchctl``.
        """
        status, said = await self._run("print", f"{self.domain}/{label}")
        if status not in {0, *NO_SUCH_JOB}:
            raise _failure("print", label, status, said)
        return status == 0

    async def bootout(self, label: str, *, within_s: float) -> None:
        """Take the job away and return once it is gone; a job that is not there is gone already.

        Raises:
            ProntuarioError: ``launchd.launchctl``; ``launchd.leaving`` after ``within_s`` seconds.
        """
        status, said = await self._run("bootout", f"{self.domain}/{label}")
        if status in NO_SUCH_JOB:
            return
        if status not in {0, *STILL_GOING}:
            raise _failure("bootout", label, status, said)
        try:
            async with asyncio.timeout(within_s):
                while await self.knows(label):  # noqa: ASYNC110  another process: nothing here could set an event
                    await asyncio.sleep(self.poll_s)
        except TimeoutError as error:
            raise STILL_LEAVING(label=label, seconds=within_s) from error

    async def bootstrap(self, plist: Path, *, within_s: float) -> None:
        """Load the job; as long as launchd says that it can't yet, try again.

        Raises:
            ProntuarioError: ``launchd.launchctl``, with what launchd said last.
        """
        loop = asyncio.get_running_loop()
        give_up = loop.time() + within_s
        while True:
            status, said = await self._run("bootstrap", self.domain, str(plist))
            if status == 0:
                return
            if status not in NOT_YET or loop.time() >= give_up:
                raise _failure("bootstrap", plist.stem, status, said)
            await asyncio.sleep(self.poll_s)

    async def replace(self, plist: Path) -> None:
        """Have the job of ``plist`` run as that file says, whatever ran under its label before.

        Raises:
            ProntuarioError: see ``bootout`` and ``bootstrap``.
            OSError: the file can't be read.
        """
        within_s = patience_of(plist)
        await self.bootout(plist.stem, within_s=within_s)
        await self.bootstrap(plist, within_s=within_s)

    async def _run(self, *words: str) -> tuple[int, str]:
        process = await asyncio.create_subprocess_exec(
            self.program,
            *words,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            _, errors = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        status = process.returncode if process.returncode is not None else -1
        return status, " ".join(errors.decode("utf-8", "replace").split())


def patience_of(plist: Path) -> float:
    """Seconds after which the job of ``plist`` must be gone: its ExitTimeOut and a margin.

    Raises:
        OSError: the file can't be read.
    """
    job = plistlib.loads(plist.read_bytes(), fmt=plistlib.FMT_XML)
    return float(job.get("ExitTimeOut", 20)) + MARGIN_S


def _failure(verb: str, label: str, status: int, said: str) -> Exception:
    return LAUNCHCTL_FAILED(verb=verb, label=label, status=status, said=said or "it said nothing")
