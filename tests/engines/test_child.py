"""The child entry point, spoken to by hand over a bare socket."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from appliance.engines.child import EXIT_LOAD_FAILED, EXIT_STEP_FAILED
from appliance.engines.frames import FrameReader, FrameWriter
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
)

ECHO = "appliance.plugin_api.testing.echo_engine:EchoEngine"


class Child:
    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        argv = [sys.executable, "-m", "appliance.engines.child", str(theirs.fileno()), "prn0xtest", "30", "60"]
        self.process = subprocess.Popen(argv, pass_fds=[theirs.fileno()], stderr=subprocess.DEVNULL)
        theirs.close()
        ours.settimeout(60)
        self.socket = ours
        self._writer = FrameWriter("prn0xtestp")
        self._reader = FrameReader[Any](FromEngine, "prn0xtestc")  # type: ignore[arg-type]
        self._read: list[Any] = []

    def send(self, *messages: object) -> None:
        self.socket.sendall(b"".join(self._writer.frame(message) for message in messages))

    def receive(self) -> Any:
        while not self._read:
            data = self.socket.recv(1 << 16)
            if not data:
                return None
            self._read += self._reader.feed(data)
        return self._read.pop(0)

    def load(self, **config: object) -> Any:
        self.send(Load(ECHO, config))
        return self.receive()


@pytest.fixture
def child() -> Iterator[Child]:
    made = Child()
    yield made
    made.socket.close()
    assert made.process.wait(60) is not None


def submit(number: int, kind: str, payload: bytes = b"") -> Submit:
    return Submit(number, kind, payload, 60.0, "interactive", "ana|")


def test_nothing_heavy_is_imported_before_load(child: Child) -> None:
    script = (
        "import sys; before = set(sys.modules); import appliance.engines.child; "
        "print(*sorted({name.split('.')[0] for name in set(sys.modules) - before}))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    ours = {"appliance", "msgspec", "typing_extensions"}
    others = set(done.stdout.split()) - ours - set(sys.stdlib_module_names)
    assert others == set()


def test_load_answers_and_an_end_of_file_ends_it(child: Child) -> None:
    assert isinstance(child.load(), Loaded)
    child.socket.close()
    assert child.process.wait(60) == 0


def test_an_end_of_file_before_load_ends_it(child: Child) -> None:
    child.socket.close()
    assert child.process.wait(60) == 0


def test_garbage_ends_it(child: Child) -> None:
    assert isinstance(child.load(), Loaded)
    child.socket.sendall(b"\xff" * 64)
    assert child.process.wait(60) == 0


@pytest.mark.parametrize("factory", ["no.such.module:Engine", ECHO + "Missing", "not a factory", "builtins:dict"])
def test_a_wrong_factory_is_told_before_it_exits(child: Child, factory: str) -> None:
    child.send(Load(factory, {}))
    assert isinstance(child.receive(), LoadFailed)
    assert child.process.wait(60) == EXIT_LOAD_FAILED


def test_the_stepping_thread_answers_pings_with_figures_between_steps(child: Child) -> None:
    child.load()
    child.send(submit(1, "mute"), Ping(77))
    pong = child.receive()
    assert isinstance(pong, Pong)
    assert pong.nonce == 77
    assert pong.stats["running"] == 1


def test_unknown_cancels_are_ignored_and_known_ones_obeyed(child: Child) -> None:
    child.load()
    child.send(Cancel(99), submit(1, "mute"), Cancel(1), Cancel(1), Ping(1))
    pong = child.receive()
    assert isinstance(pong, Pong)
    assert pong.stats["running"] == 0


def test_answers_after_a_cancel_are_held_back_and_counted(child: Child) -> None:
    child.load()
    child.send(submit(1, "stubborn"))
    assert child.receive() == Output(1, b"still here", final=False)
    child.send(Cancel(1))
    answers, nonce = [], 0
    while not (answers and isinstance(answers[-1], Pong) and answers[-1].stats["ignored_cancels"] > 0):
        if not answers or isinstance(answers[-1], Pong):
            nonce += 1
            child.send(Ping(nonce))
        answers.append(child.receive())
    first_pong = next(place for place, answer in enumerate(answers) if isinstance(answer, Pong))
    assert all(isinstance(answer, Pong) for answer in answers[first_pong:])


def test_close_finishes_what_runs(child: Child) -> None:
    child.load()
    child.send(submit(1, "late", msgspec.msgpack.encode(0.2)), Close(60.0))
    assert child.receive() == Output(1, b"late", final=True)
    assert child.receive() is None
    assert child.process.wait(60) == 0


def test_close_does_not_wait_for_ever(child: Child) -> None:
    child.load()
    child.send(submit(1, "mute"), Close(0.1))
    assert child.receive() is None
    assert child.process.wait(60) == 0


def test_an_error_in_a_step_ends_the_child_because_its_state_is_unknown(child: Child) -> None:
    child.load()
    child.send(submit(1, "raise"))
    assert child.receive() is None
    assert child.process.wait(60) == EXIT_STEP_FAILED


def test_an_error_in_submit_names_type_and_place_but_never_quotes(child: Child) -> None:
    child.load()
    child.send(submit(1, "late", b"Maria da Silva"))
    failed = child.receive()
    assert isinstance(failed, Failed)
    assert failed.code in {"invalid", "internal.submit"}
    assert "Maria" not in failed.message
    child.send(submit(2, "echo", b"x"))
    assert child.receive() == Output(2, b"x", final=True)
