"""Engines: what it costs to have a model in a child process, and how fast its death is noticed.

The peer is a bare socketpair with the same messages and nothing else: no queue, no fairness, no deadlines, no retries.
Tokens per second of the chat plugin through the whole API come from ``bench/chat_rows.py``, where it is present.
"""

from __future__ import annotations

import asyncio
import gc
import importlib.util
import os
import signal
import socket
import statistics
import struct
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec
import uvloop

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))


from appliance.engines.frames import FrameReader, FrameWriter
from appliance.engines.ledger import MemoryLedger
from appliance.engines.supervisor import EngineSupervisor
from appliance.plugin_api.engine import CallOptions, EngineSpec, EngineStatus
from appliance.plugin_api.messages import FromEngine, Output, Submit, ToEngine
from bench.report import Report, say

ECHO = "appliance.plugin_api.testing.echo_engine:EchoEngine"
ROUND_TRIPS = 5000
STREAMS, DELTAS, REPEATS = 200, 20, 10
KILLS = 10
OPTIONS = CallOptions(user="bench", deadline_s=600.0)
STREAM = msgspec.msgpack.encode([DELTAS])


def bare_echo_child(descriptor: int) -> None:
    """The peer's child: answers every Submit at once, ``payload`` pieces if it is a number."""
    sock = socket.socket(fileno=descriptor)
    reader, writer = FrameReader(ToEngine, "x"), FrameWriter("y")
    while data := sock.recv(1 << 18):
        for message in reader.feed(data):
            count = struct.unpack("<I", message.payload)[0]
            pieces = [writer.frame(Output(message.request_id, b"12345678", n + 1 == count)) for n in range(count)]
            sock.sendall(b"".join(pieces))


class BarePeer(asyncio.Protocol):
    """The peer's parent: a future for each request, nothing more."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        argv = [sys.executable, __file__, "--peer", str(theirs.fileno())]
        self.process = subprocess.Popen(argv, pass_fds=[theirs.fileno()])
        theirs.close()
        self._sock = ours
        self._reader, self._writer = FrameReader(FromEngine, "y"), FrameWriter("x")
        self._waiting: dict[int, asyncio.Future[None]] = {}
        self._next = 0

    async def connect(self) -> None:
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_unix_connection(lambda: self, sock=self._sock)

    def data_received(self, data: bytes) -> None:
        for output in self._reader.feed(data):
            if output.final:
                self._waiting.pop(output.request_id).set_result(None)

    async def ask(self, pieces: int) -> None:
        self._next += 1
        self._waiting[self._next] = done = asyncio.get_running_loop().create_future()
        message = Submit(self._next, "echo", struct.pack("<I", pieces), 60.0, "interactive", "bench|")
        self._transport.write(self._writer.frame(message))
        await done

    def end(self) -> None:
        self._transport.abort()
        self.process.kill()
        self.process.wait()


async def drain(engine: EngineSupervisor, kind: str, payload: bytes) -> None:
    async for _ in engine.submit(kind, payload, OPTIONS):
        pass


async def round_trip_us(ask: Callable[[], Awaitable[None]]) -> float:
    times = []
    for _ in range(ROUND_TRIPS):
        before = time.perf_counter()
        await ask()
        times.append(time.perf_counter() - before)
    return statistics.median(times) * 1e6


async def messages_per_second(ask: Callable[[], Awaitable[None]]) -> float:
    best = 0.0
    for _ in range(REPEATS):
        gc.collect()
        before = time.perf_counter()
        await asyncio.gather(*(ask() for _ in range(STREAMS)))
        best = max(best, STREAMS * DELTAS / (time.perf_counter() - before))
    return best


async def notice_kill_ms(engine: EngineSupervisor) -> float:
    """From ``kill -9`` to the moment when a waiting caller has its error."""
    times = []
    for _ in range(KILLS):
        engine.reset()
        while engine.status is not EngineStatus.READY:  # noqa: ASYNC110  a bench may poll
            await asyncio.sleep(0.01)
        options = CallOptions(user="bench", deadline_s=600.0, idempotent=False)
        waiting = asyncio.ensure_future(anext(engine.submit("mute", b"", options)))
        while engine.running == 0:  # noqa: ASYNC110  same
            await asyncio.sleep(0.01)
        before = time.perf_counter()
        os.kill(engine.pid, signal.SIGKILL)
        await asyncio.gather(waiting, return_exceptions=True)
        times.append(time.perf_counter() - before)
    return statistics.median(times) * 1e3


def notice_pid_ms() -> float:
    """The peer: how long until ``waitpid`` tells, polled without pause."""
    times = []
    for _ in range(KILLS):
        process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
        time.sleep(0.1)
        before = time.perf_counter()
        process.kill()
        while process.poll() is None:
            pass
        times.append(time.perf_counter() - before)
    return statistics.median(times) * 1e3


async def start_seconds() -> float:
    times = []
    for _ in range(3):
        engine = EngineSupervisor(EngineSpec("echo", ECHO), MemoryLedger())
        before = time.perf_counter()
        await engine.start()
        assert await engine.wait_ready(60)
        times.append(time.perf_counter() - before)
        await engine.stop(0.0)
    return min(times)


async def measure(report: Report) -> None:
    engine = EngineSupervisor(EngineSpec("echo", ECHO, max_running=STREAMS, queue_limit=STREAMS), MemoryLedger())
    peer = BarePeer()
    await peer.connect()
    await engine.start()
    assert await engine.wait_ready(60)
    say("round trips…")
    ours = await round_trip_us(lambda: drain(engine, "echo", b"12345678"))
    bare = await round_trip_us(lambda: peer.ask(1))
    report.row("round trip through an engine", ours, "µs", peer="bare socketpair echo", peer_value=bare)
    say("200 streams…")
    ours = await messages_per_second(lambda: drain(engine, "stream", STREAM))
    bare = await messages_per_second(lambda: peer.ask(DELTAS))
    report.row("messages/s, 200 streams of 20", ours, "1/s", peer="bare socketpair echo", peer_value=bare)
    peer.end()
    say("kill -9…")
    ours = await notice_kill_ms(engine)
    report.row(
        "kill -9 to the caller's error",
        ours,
        "ms",
        peer="bare waitpid",
        peer_value=notice_pid_ms(),
        aim=("<=", 250),
    )
    await engine.stop(0.0)
    report.row(
        "start of a child to ready", await start_seconds(), "s", peer="python -c pass", peer_value=python_seconds()
    )


def python_seconds() -> float:
    before = time.perf_counter()
    subprocess.run([sys.executable, "-c", "pass"], check=True)
    return time.perf_counter() - before


def chat_rows(report: Report) -> None:
    """Rows of the chat plugin through the whole API: ``chat_rows.add_rows(report)``, where that file exists."""
    file = Path(__file__).with_name("chat_rows.py")
    spec = importlib.util.spec_from_file_location("chat_rows", file) if file.exists() else None
    if spec is None or spec.loader is None:
        say("no chat_rows.py: tokens per second through the API are not measured")
        return
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.add_rows(report)


def main() -> None:
    if sys.argv[1:2] == ["--peer"]:
        bare_echo_child(int(sys.argv[2]))
        return
    report = Report("engine")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(measure(report))
    chat_rows(report)
    report.print()


if __name__ == "__main__":
    main()
