"""From outside the node: its memory and open files once a second, whether it answers four times a second, and what this costs."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import time
from array import array
from collections.abc import Callable
from dataclasses import dataclass, field

import httpx
import psutil

from bench.soak_books import Uptime

SAMPLE_S, LOOK_ROUND_S = 1.0, 10.0
PROBE_S, PROBE_LIMIT_S = 0.25, 1.0
STALL_S = 1.0
"""A phone gives an idle connection up a second before the service does."""
OK = 200
ENGINE = "appliance.engines.child"
CORE = "core"


@dataclass
class Part:
    """One process over time. Bytes and counts, one a second."""

    process: psutil.Process
    began_cpu_s: float
    last_cpu_s: float
    resident: array[int] = field(default_factory=lambda: array("q"))
    files: array[int] = field(default_factory=lambda: array("q"))

    @property
    def cpu_s(self) -> float:
        """Of user and system time, since it was first seen."""
        return self.last_cpu_s - self.began_cpu_s


@dataclass
class Watch:
    """The node's processes. ``core_pid()`` tells core's now; ``engines``: names of engines by their pid, as the node says.

    A part whose process is another than before counts as restarted; its samples go on.
    """

    core_pid: Callable[[], int]
    engines: dict[int, str]
    parts: dict[str, Part] = field(default_factory=dict)
    restarts: list[str] = field(default_factory=list)

    async def sample(self) -> None:
        """Once a second until cancelled; whom to look at is looked up now and then, for that costs most."""
        due, looked = time.monotonic(), -LOOK_ROUND_S
        while True:
            if due - looked >= LOOK_ROUND_S or not self._all_there():
                self.look_round()
                looked = due
            for part in self.parts.values():
                with contextlib.suppress(psutil.Error):
                    measure(part)
            due = max(due + SAMPLE_S, time.monotonic())
            await asyncio.sleep(due - time.monotonic())

    def look_round(self) -> None:
        """Find core, its engines and Litestream."""
        with contextlib.suppress(psutil.Error, OSError, ValueError):
            core = psutil.Process(self.core_pid())
            self._seen(CORE, core)
            for child in core.children(recursive=True):
                with contextlib.suppress(psutil.Error):
                    if name := self._name(child):
                        self._seen(name, child)

    def _name(self, process: psutil.Process) -> str:
        if process.name() == "litestream":
            return "litestream"
        if process.pid in self.engines:
            return f"engine {self.engines[process.pid]}"
        if ENGINE not in process.cmdline():
            return ""
        # An engine that has been started since: the one of whom the process is gone. The node's books have its name.
        gone = [
            name for name, part in self.parts.items() if name.startswith("engine") and not part.process.is_running()
        ]
        return gone[0] if gone else f"engine of pid {process.pid}"

    def _seen(self, name: str, process: psutil.Process) -> None:
        known = self.parts.get(name)
        if known is not None and known.process == process:
            return
        used = cpu_seconds(process)
        if known is None:
            self.parts[name] = Part(process, used, used)
            return
        self.restarts.append(name)
        known.began_cpu_s, known.last_cpu_s = used - known.cpu_s, used
        known.process = process

    def _all_there(self) -> bool:
        return bool(self.parts) and all(part.process.is_running() for part in self.parts.values())


def measure(part: Part) -> None:
    """One sample."""
    with part.process.oneshot():
        resident, files = part.process.memory_info().rss, part.process.num_fds()
        part.last_cpu_s = cpu_seconds(part.process)
    part.resident.append(resident)
    part.files.append(files)


def cpu_seconds(process: psutil.Process) -> float:
    """User and system time of a process with all its threads."""
    times = process.cpu_times()
    return float(times.user + times.system)


@dataclass
class Probe:
    """Asks ``/health/primary`` every 250 ms: 200 within a second means that the record can be read and written."""

    api: str
    context: ssl.SSLContext
    seen: list[tuple[float, bool]] = field(default_factory=list)
    """(its moment, whether it was answered) of each probe, in the order of the answers."""
    late_s: float = 0.0
    """How late this program itself woke up for a probe, at worst: so much of any time below may be its own fault."""
    stalls: list[tuple[float, float]] = field(default_factory=list)
    """(when it should have woken up, when it did) of every time it was a second late: the machine had no time for anyone."""

    async def run(self) -> None:
        """Until cancelled. Each probe is made at its moment, also when the one before has not been answered."""
        under_way: set[asyncio.Task[None]] = set()
        async with httpx.AsyncClient(base_url=self.api, verify=self.context, timeout=PROBE_LIMIT_S) as http:
            try:
                due = time.monotonic()
                while True:
                    self._woken(due, time.monotonic())
                    task = asyncio.create_task(self._ask(http, due))
                    under_way.add(task)
                    task.add_done_callback(under_way.discard)
                    # What was slept through can't be asked any more; a burst of late probes would say nothing.
                    due = max(due + PROBE_S, time.monotonic())
                    await asyncio.sleep(due - time.monotonic())
            finally:
                for task in under_way:
                    task.cancel()
                await asyncio.gather(*under_way, return_exceptions=True)

    def _woken(self, due: float, now: float) -> None:
        self.late_s = max(self.late_s, now - due)
        if now - due >= STALL_S:
            self.stalls.append((due, now))

    async def _ask(self, http: httpx.AsyncClient, at: float) -> None:
        try:
            answer = await http.get("/health/primary")
        except httpx.HTTPError:
            self.seen.append((at, False))
        else:
            self.seen.append((at, answer.status_code == OK))

    def standstills(self) -> list[tuple[float, float]]:
        """(from, to) of every time at which this program got no processor for a second, or the node did not answer for one."""
        return [*self.stalls, *((at, at + PROBE_LIMIT_S) for at, answered in self.seen if not answered)]

    def uptime(self, began: float, ended: float) -> Uptime:
        """The account between two moments."""
        account = Uptime()
        for at, answered in sorted(self.seen):
            if began <= at < ended:
                account.probed(at, answered=answered)
        account.end(ended)
        return account
