"""An engine that does what a test asks of it: echo, stream, be late, hang, leak, crash, ignore a cancel.

Kinds and payloads (a payload is msgpack unless said otherwise):

- ``echo``           any bytes: comes back at once
- ``stream``         ``[count]`` or ``[count, delay_s]``: that many pieces (8-byte numbers), one a step
- ``late``           seconds: ``b"late"`` after that time, without blocking a step
- ``hang``           a step that never returns, as Python code; ``hang_gil`` as native code that holds the interpreter
- ``leak``           bytes a step, touched, never given back; never answers
- ``big``            size: one answer of that many bytes
- ``segv`` ``exit`` ``raise`` ``fail`` ``mute``   crash in native code, exit 3, raise in a step, answer Failed, never answer
- ``stubborn``       goes on answering after a cancel
- ``noise``          text: writes it to stderr, then echoes
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from appliance.plugin_api.messages import Failed, Loaded, Output, Submit

_PARAMETERS: dict[str, Any] = {
    "echo": bytes,
    "stream": list[float],
    "late": float,
    "hang": bytes,
    "hang_gil": bytes,
    "leak": int,
    "big": int,
    "segv": bytes,
    "exit": bytes,
    "raise": bytes,
    "fail": str,
    "mute": bytes,
    "stubborn": bytes,
    "noise": str,
}
_OPAQUE = frozenset(kind for kind, shape in _PARAMETERS.items() if shape is bytes)


class EchoEngine:
    """The test engine. Config: ``load_delay_s``, ``load_error``, ``load_exit``, ``footprint_bytes``, ``isolated`` (bool)."""

    def __init__(self) -> None:
        self._running: dict[int, tuple[str, Any, float]] = {}
        self._steps: dict[int, int] = {}
        self._hoard: list[bytearray] = []
        self.survives_step_errors = False

    def load(self, config: Mapping[str, Any]) -> Loaded:
        time.sleep(float(config.get("load_delay_s", 0)))
        if "load_exit" in config:
            os._exit(int(config["load_exit"]))
        if "load_error" in config:
            raise RuntimeError(str(config["load_error"]))
        self.survives_step_errors = bool(config.get("isolated"))
        name = str(config.get("model_id", "echo"))
        digest = hashlib.sha256(name.encode()).hexdigest()
        info = {"threads": threading.active_count(), "blas": os.environ.get("LD_PRELOAD", "")}
        return Loaded(name, digest, int(config.get("footprint_bytes", 0)), demonstration=True, info=info)

    def submit(self, request: Submit) -> None:
        shape = _PARAMETERS.get(request.kind)
        if shape is None:
            raise ValueError("unknown kind")
        value: Any = request.payload
        if request.kind not in _OPAQUE:
            value = msgspec.msgpack.decode(request.payload, type=shape)
        self._running[request.request_id] = (request.kind, value, time.monotonic())
        self._steps[request.request_id] = 0

    def step(self) -> list[Output | Failed]:
        answers: list[Output | Failed] = []
        for request_id, (kind, value, since) in list(self._running.items()):
            answers += self._advance(request_id, kind, value, since)
        if not answers:
            time.sleep(0.001)
        return answers

    def busy(self) -> bool:
        return bool(self._running)

    def cancel(self, request_id: int) -> None:
        if request_id in self._running and self._running[request_id][0] != "stubborn":
            self._forget(request_id)

    def stats(self) -> dict[str, float]:
        return {"running": len(self._running), "hoard_bytes": sum(map(len, self._hoard))}

    def close(self) -> None:
        self._hoard.clear()

    def _forget(self, request_id: int) -> None:
        self._running.pop(request_id, None)
        self._steps.pop(request_id, None)

    def _end(self, request_id: int, payload: bytes) -> list[Output | Failed]:
        self._forget(request_id)
        return [Output(request_id, payload, final=True)]

    def _advance(self, request_id: int, kind: str, value: Any, since: float) -> list[Output | Failed]:
        if misdeed := _MISDEEDS.get(kind):
            misdeed()
        if kind == "stream":
            return self._stream(request_id, value)
        if kind == "late":
            return self._end(request_id, b"late") if time.monotonic() - since >= value else []
        if kind == "leak":
            self._hoard.append(bytearray(os.urandom(1) * value))
        if kind in {"leak", "mute"}:
            return []
        if kind == "fail":
            self._forget(request_id)
            return [Failed(request_id, value, "as asked")]
        if kind == "stubborn":
            return [Output(request_id, b"still here", final=False)]
        if kind == "noise":
            sys.stderr.write(value + "\n")
            sys.stderr.flush()
        return self._end(request_id, bytes(value) if kind in {"echo", "big"} else str(value).encode())

    def _stream(self, request_id: int, value: list[float]) -> list[Output | Failed]:
        count, delay_s = int(value[0]), value[1] if len(value) > 1 else 0.0
        if delay_s:
            time.sleep(delay_s)
        number = self._steps[request_id]
        self._steps[request_id] = number + 1
        payload = number.to_bytes(8, "little")
        if number + 1 >= count:
            return self._end(request_id, payload)
        return [Output(request_id, payload, final=False)]


def _hang() -> None:
    while True:
        time.sleep(3600)


def _hang_holding_the_interpreter() -> None:
    ctypes.PyDLL(None).sleep(3600)


def _raise() -> None:
    raise RuntimeError("as asked")


_MISDEEDS: dict[str, Callable[[], Any]] = {
    "hang": _hang,
    "hang_gil": _hang_holding_the_interpreter,
    "segv": lambda: os.kill(os.getpid(), signal.SIGSEGV),
    "exit": lambda: os._exit(3),
    "raise": _raise,
}
