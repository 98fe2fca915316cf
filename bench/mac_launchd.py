"""A launchd for one stand-in Mac, and the launchctl(1) that speaks to it: real processes, and ``bootout`` that does not wait.

``python mac_launchd.py serve SOCKET FOLDER`` loads every plist of FOLDER, as at boot, and serves; ``python mac_launchd.py ctl
SOCKET VERB …`` asks it and ends with launchctl's own exit status. It heeds what a node's plists say: user, group, umask,
environment, folder, logs, KeepAlive with its throttle, ExitTimeOut. As the real one, it answers ``bootout`` while the job still
drains, keeps its label until the process is gone, and refuses ``bootstrap`` meanwhile (37, then 5). Standard library only.
"""

from __future__ import annotations

import asyncio
import json
import os
import plistlib
import pwd
import signal
import socket
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from grp import getgrnam
from pathlib import Path
from typing import Any

NO_SUCH_PROCESS, IO_ERROR, IN_PROGRESS, ALREADY, NOT_FOUND = 3, 5, 36, 37, 113
LEAST_LEAVING_S = 0.3
"""Even a job without a process is gone only a moment after ``bootout`` has answered."""
FIRST_REFUSAL_S = 0.2
DEFAULT_THROTTLE_S = 10.0
DEFAULT_EXIT_S = 20.0
Answer = tuple[int, str]


class Job:
    """One loaded job: its process, if it has one now, and the task that keeps it."""

    def __init__(self, plist: dict[str, Any]) -> None:
        self.plist = plist
        self.label = str(plist["Label"])
        self.process: asyncio.subprocess.Process | None = None
        self.leaving_since: float | None = None
        self.keeper: asyncio.Task[None] | None = None

    async def keep(self) -> None:
        """Run it, and run it again for as long as its plist wants it alive."""
        while self.leaving_since is None:
            began = time.monotonic()
            self.process = await self._spawn()
            await self.process.wait()
            with suppress(ProcessLookupError, PermissionError):  # what it left behind goes with it
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process = None
            if not self.plist.get("KeepAlive"):
                return
            throttle = float(self.plist.get("ThrottleInterval", DEFAULT_THROTTLE_S))
            while self.leaving_since is None and time.monotonic() - began < throttle:  # noqa: ASYNC110
                await asyncio.sleep(0.05)

    async def leave(self) -> None:
        """SIGTERM, its time, SIGKILL; returns when nothing of it is left."""
        if self.process is not None:
            with suppress(ProcessLookupError):
                self.process.terminate()
        if self.keeper is not None:
            limit = float(self.plist.get("ExitTimeOut", DEFAULT_EXIT_S))
            done, _ = await asyncio.wait({self.keeper}, timeout=limit)
            if not done and self.process is not None:
                with suppress(ProcessLookupError):
                    self.process.kill()
            await asyncio.wait({self.keeper})
        await asyncio.sleep(LEAST_LEAVING_S)

    async def _spawn(self) -> asyncio.subprocess.Process:
        plist = self.plist
        user, group = pwd.getpwnam(plist["UserName"]).pw_uid, getgrnam(plist["GroupName"]).gr_gid
        account: dict[str, Any] = {"user": user, "group": group, "extra_groups": []} if os.geteuid() == 0 else {}
        out = os.open(plist["StandardOutPath"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o640)
        try:
            return await asyncio.create_subprocess_exec(
                *plist["ProgramArguments"],
                stdin=asyncio.subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                cwd=plist.get("WorkingDirectory", "/"),
                env=dict(plist.get("EnvironmentVariables", {})),
                **account,
                umask=int(plist.get("Umask", 0o022)),
                start_new_session=True,
            )
        finally:
            os.close(out)


class Launchd:
    """All jobs of a machine, by label."""

    def __init__(self) -> None:
        self.jobs: dict[str, Job] = {}
        self._leaving: set[asyncio.Task[None]] = set()

    def answer(self, verb: str, words: list[str]) -> Answer:
        """What launchctl would say: exit status and sentence."""
        if verb == "print":
            return self._print(_label(words[0]))
        if verb == "bootout":
            return self._bootout(_label(words[0]))
        if verb == "bootstrap":
            return self.bootstrap(Path(words[1]))
        return 64, f"Unrecognized subcommand: {verb}"

    def bootstrap(self, plist: Path) -> Answer:
        """Load a job and start it."""
        try:
            told = plistlib.loads(plist.read_bytes())
        except (OSError, ValueError) as error:
            return IO_ERROR, f"Bootstrap failed: 5: {error}"
        known = self.jobs.get(str(told["Label"]))
        if known is not None:
            recent = known.leaving_since is not None and time.monotonic() - known.leaving_since < FIRST_REFUSAL_S
            status = ALREADY if recent else IO_ERROR
            return status, f"Bootstrap failed: {status}: the label is taken"
        job = self.jobs[str(told["Label"])] = Job(told)
        job.keeper = asyncio.create_task(job.keep())
        return 0, ""

    def _print(self, label: str) -> Answer:
        job = self.jobs.get(label)
        if job is None:
            return NOT_FOUND, f'Could not find service "{label}" in domain for system'
        pid = job.process.pid if job.process is not None else 0
        return 0, f"system/{label} = {{ state = {'SIGTERMed' if job.leaving_since else 'running'}; pid = {pid} }}"

    def _bootout(self, label: str) -> Answer:
        job = self.jobs.get(label)
        if job is None:
            return NO_SUCH_PROCESS, "Boot-out failed: 3: No such process"
        if job.leaving_since is not None:
            return IN_PROGRESS, "Boot-out failed: 36: Operation now in progress"
        job.leaving_since = time.monotonic()
        task = asyncio.create_task(self._see_off(job))
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)
        return 0, ""

    async def _see_off(self, job: Job) -> None:
        await job.leave()
        del self.jobs[job.label]

    async def close(self) -> None:
        """Take every job away, and wait for each."""
        for label in list(self.jobs):
            self._bootout(label)
        while self._leaving:
            await asyncio.wait(set(self._leaving))


async def serve(place: str, plists: Sequence[Path], stop: asyncio.Event) -> None:
    """Boot: load ``plists``; then answer on the socket ``place`` until ``stop``."""
    launchd = Launchd()

    async def visit(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            verb, *words = json.loads(await reader.readline())
            writer.write(json.dumps(launchd.answer(verb, words)).encode() + b"\n")
            await writer.drain()
        except (ConnectionError, ValueError) as error:
            print(f"launchd: {error}", file=sys.stderr, flush=True)
        finally:
            writer.close()

    for plist in plists:
        launchd.bootstrap(plist)
    server = await asyncio.start_unix_server(visit, place)
    async with server:
        await stop.wait()
    await launchd.close()


async def _serve_until_told(place: str, plists: Sequence[Path]) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await serve(place, plists, stop)


def ask(place: str, words: list[str]) -> Answer:
    """What launchd answers. Raises ``OSError``: there is none."""
    with socket.socket(socket.AF_UNIX) as line:
        line.connect(place)
        line.sendall(json.dumps(words).encode() + b"\n")
        with line.makefile("rb") as answer:
            status, said = json.loads(answer.readline())
    return int(status), str(said)


def _label(target: str) -> str:
    return target.partition("/")[2]


def main(argv: list[str]) -> int:
    """``serve`` or ``ctl``."""
    place = argv[1]
    if argv[0] == "serve":
        Path(place).unlink(missing_ok=True)
        asyncio.run(_serve_until_told(place, sorted(Path(argv[2]).glob("*.plist"))))
        return 0
    status, said = ask(place, argv[2:])
    if said:
        print(said, file=sys.stderr if status else sys.stdout)
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
