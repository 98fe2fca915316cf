"""The child process of one engine: ``python -m appliance.engines.child FD BLOCK_PREFIX WATCHDOG_S LOAD_LIMIT_S``.

The main thread reads the socket, loads and steps (a model library is used from one thread only); messages that come while
a step runs wait in the socket, and slow the core down if they are many. Before ``Load`` arrives nothing but the standard
library, msgspec and our messages is imported. Whatever happens to the core, this process ends: a guard thread sees the end
of the socket even while a step hangs, and a watchdog that needs no interpreter lock ends it when native code holds that
lock for too long.
"""

from __future__ import annotations

import faulthandler
import importlib
import os
import select
import signal
import socket
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import Final, NoReturn

from appliance.engines.frames import FrameError, FrameReader, FrameTooLargeError, FrameWriter
from appliance.engines.shared_block import BlockError
from appliance.plugin_api.engine import Engine
from appliance.plugin_api.messages import (
    Cancel,
    Close,
    Failed,
    FromEngine,
    Load,
    Loaded,
    LoadFailed,
    Output,
    Ping,
    Pong,
    Submit,
    ToEngine,
)

EXIT_LOAD_FAILED: Final = 69
YIELDS: Final = 5
"""Added to its niceness: where a model computes on the processor, the record's reads and writes go before it."""
EXIT_STEP_FAILED: Final = 70
_READ_BYTES: Final = 256 << 10
_GUARD_MS: Final = 1000
_LONGEST_MESSAGE: Final = 400


class Link:
    """The child's end of the socket, used by the stepping thread alone; a guard thread only watches for its end."""

    def __init__(self, sock: socket.socket, prefix: str) -> None:
        self._socket = sock
        self._writer = FrameWriter(f"{prefix}c")
        self._reader: FrameReader[ToEngine] = FrameReader(ToEngine, f"{prefix}p")  # type: ignore[arg-type]
        threading.Thread(target=self._guard_forever, args=(os.getppid(),), name="guard", daemon=True).start()

    def _guard_forever(self, core: int) -> NoReturn:
        """End the process when the core is gone, whatever the stepping thread does. Never wakes for messages."""
        poll = select.poll()
        poll.register(self._socket.fileno(), select.POLLHUP)
        while os.getppid() == core and not poll.poll(_GUARD_MS):
            pass
        self.leave(0)

    def receive(self, *, wait: bool) -> list[ToEngine]:
        """What has arrived; with ``wait`` at least one message. Ends the process if the core is gone."""
        messages: list[ToEngine] = []
        try:
            while wait and not messages:
                messages += self._reader.feed(self._socket.recv(_READ_BYTES) or self.leave(0))
            while data := self._socket.recv(_READ_BYTES, socket.MSG_DONTWAIT):
                messages += self._reader.feed(data)
        except BlockingIOError:
            return messages
        except (OSError, FrameError, BlockError):
            self.leave(0)
        return messages or self.leave(0)

    def send(self, messages: list[FromEngine]) -> None:
        """Send all in one write; blocks while the core does not read, which slows this engine down and nobody else."""
        frames = []
        for message in messages:
            try:
                frames.append(self._writer.frame(message))
            except FrameTooLargeError as error:
                request_id = message.request_id if isinstance(message, Output) else 0
                frames.append(self._writer.frame(Failed(request_id, "internal.too_large", str(error))))
        if frames:
            try:
                self._socket.sendall(b"".join(frames))
            except OSError:
                self.leave(0)

    def leave(self, code: int) -> NoReturn:
        """End at once, without the interpreter's long goodbye (a wedged native thread could stop that one)."""
        if code == 0:
            self._reader.blocks.clear()
        sys.stderr.flush()
        os._exit(code)


class Watchdog:
    """Ends the process when no Python code could run for ``limit_s``: native code is stuck holding the interpreter."""

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        threading.Thread(target=self._rearm_forever, name="watchdog", daemon=True).start()

    def limit(self, limit_s: float) -> None:
        """From now on."""
        self._limit_s = limit_s
        faulthandler.dump_traceback_later(limit_s, exit=True)

    def _rearm_forever(self) -> NoReturn:
        while True:
            faulthandler.dump_traceback_later(self._limit_s, exit=True)
            time.sleep(min(1.0, self._limit_s / 4))


def place_of(error: BaseException) -> str:
    """Type and place of an error; never its text, which may quote the data that caused it."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    return f"{type(error).__qualname__}{where}"


class Stepper:
    """Hands messages to the engine and steps it while it has work."""

    def __init__(self, engine: Engine, link: Link) -> None:
        self._engine = engine
        self._link = link
        self._active: set[int] = set()
        self._ignored_cancels = 0
        self._close_at: float | None = None

    def run(self) -> None:
        """Until Close."""
        while True:
            busy = self._busy()
            if self._close_at is not None and (not busy or time.monotonic() >= self._close_at):
                return
            for message in self._link.receive(wait=not busy):
                self._handle(message)
            if self._busy():
                self._step()

    def _busy(self) -> bool:
        try:
            return self._engine.busy()
        except Exception as error:  # noqa: BLE001  an engine that can't even tell is treated like a failed step
            self._step_failed(error)
            return False

    def _handle(self, message: ToEngine) -> None:
        if isinstance(message, Submit):
            self._submit(message)
        elif isinstance(message, Cancel):
            self._cancel(message.request_id)
        elif isinstance(message, Ping):
            self._link.send([Pong(message.nonce, self._stats())])
        elif isinstance(message, Close):
            self._close_at = time.monotonic() + message.drain_s

    def _submit(self, request: Submit) -> None:
        self._active.add(request.request_id)
        try:
            self._engine.submit(request)
        except Exception as error:  # noqa: BLE001  one bad request must not hurt its neighbours
            self._active.discard(request.request_id)
            code = getattr(error, "code", "invalid") if isinstance(error, ValueError) else "internal.submit"
            self._link.send([Failed(request.request_id, str(code), place_of(error))])

    def _cancel(self, request_id: int) -> None:
        if request_id in self._active:
            self._active.discard(request_id)
            self._engine.cancel(request_id)

    def _step(self) -> None:
        try:
            answers = self._engine.step()
        except Exception as error:  # noqa: BLE001  the state of every running request is unknown now
            self._step_failed(error)
            return
        outgoing: list[FromEngine] = []
        for answer in answers:
            if answer.request_id not in self._active:
                self._ignored_cancels += 1
                continue
            if isinstance(answer, Failed) or answer.final:
                self._active.discard(answer.request_id)
            outgoing.append(answer)
        self._link.send(outgoing)

    def _step_failed(self, error: Exception) -> None:
        """The state of every running request is unknown: leave, and let the core retry them apart from each other.

        An engine that knows better says ``survives_step_errors = True``: its running requests fail and it goes on.
        """
        sys.stderr.write(f"a step failed: {place_of(error)}\n")
        if not getattr(self._engine, "survives_step_errors", False):
            self._link.leave(EXIT_STEP_FAILED)
        for request_id in self._active:
            self._engine.cancel(request_id)
        self._link.send([Failed(request_id, "internal.step", place_of(error)) for request_id in sorted(self._active)])
        self._active.clear()

    def _stats(self) -> dict[str, float]:
        try:
            figures = dict(self._engine.stats())
        except Exception:  # noqa: BLE001  figures are for people; a bug in them must not end the engine
            figures = {}
        figures["ignored_cancels"] = self._ignored_cancels
        return figures


def _build(message: Load) -> tuple[Engine, Loaded]:
    module_name, _, factory_name = message.engine.partition(":")
    engine: Engine = getattr(importlib.import_module(module_name), factory_name)()
    loaded = engine.load(message.config)
    if not isinstance(loaded, Loaded):
        raise TypeError(f"load returned {type(loaded).__name__}, not Loaded")
    return engine, loaded


def _load(link: Link) -> Engine:
    message, *early = link.receive(wait=True)
    if early or not isinstance(message, Load):
        link.leave(EXIT_LOAD_FAILED)
    try:
        engine, loaded = _build(message)
    except Exception as error:  # noqa: BLE001  whatever a model library raises, the core must be told
        traceback.print_exc()
        link.send([LoadFailed(type(error).__name__, str(error)[:_LONGEST_MESSAGE])])
        link.leave(EXIT_LOAD_FAILED)
    link.send([loaded])
    return engine


def main(arguments: list[str]) -> NoReturn:
    """Serve the socket ``arguments[0]`` until it closes."""
    descriptor, prefix, watchdog_s, load_limit_s = arguments
    os.nice(YIELDS)  # before any thread of a model library begins, for threads inherit it
    os.set_inheritable(int(descriptor), False)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the core's affair; it tells us to close
    faulthandler.enable()
    link = Link(socket.socket(fileno=int(descriptor)), prefix)
    watchdog = Watchdog(float(load_limit_s))
    engine = _load(link)
    watchdog.limit(float(watchdog_s))
    Stepper(engine, link).run()
    engine.close()
    link.leave(0)


if __name__ == "__main__":
    main(sys.argv[1:])
