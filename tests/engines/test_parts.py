"""The small parts: the tail of stderr, the channel over a real socket, the watch, the errors' texts."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from appliance.engines import errors
from appliance.engines.channel import Channel
from appliance.engines.frames import FrameWriter
from appliance.engines.process import EngineProcess, child_environment
from appliance.engines.stderr_tail import StderrTail
from appliance.engines.watch import Rhythm, Watch
from appliance.plugin_api.engine import EngineSpec
from appliance.plugin_api.errors import ErrorKind
from appliance.plugin_api.messages import Cancel, FromEngine, Output, Pong, Submit
from tests.fakes.watched_process import Watched

Until = Callable[[Callable[[], object]], Awaitable[None]]


# -- stderr -----------------------------------------------------------------------------------------------------------------
def test_lines_are_put_together_from_pieces() -> None:
    tail = StderrTail()
    for piece in (b"fir", b"st\nsec", b"ond\n", b"open"):
        tail.feed(piece)
    assert tail.lines() == ["first", "second", "open"]
    assert tail.bytes_seen == 17


def test_the_tail_is_bounded_in_lines_and_in_length() -> None:
    tail = StderrTail()
    tail.feed(b"".join(b"%d\n" % number for number in range(10_000)))
    tail.feed(b"x" * 10_000_000)
    lines = tail.lines()
    assert lines[-2] == "9999"
    assert len(lines) <= 50
    assert max(map(len, lines)) <= 1000


def test_bytes_that_are_no_text_are_no_error() -> None:
    tail = StderrTail()
    tail.feed(b"\xff\xfe\n")
    assert len(tail.lines()) == 1


# -- the channel ------------------------------------------------------------------------------------------------------------
class Ends:
    """A channel and the child's bare end of it."""

    def __init__(self) -> None:
        self.messages: list[FromEngine] = []
        self.lost: list[str] = []
        self.writable_again = 0
        self.channel = Channel(
            "prn0xparts", on_message=self.messages.append, on_writable=self._writable, on_lost=self.lost.append
        )
        self.ours, self.theirs = socket.socketpair()
        self.ours.setblocking(False)
        self.theirs.setblocking(False)

    def _writable(self) -> None:
        self.writable_again += 1


@pytest.fixture
async def ends() -> Any:
    made = Ends()
    await made.channel.connect(made.ours)
    yield made
    made.channel.close()
    made.theirs.close()
    await asyncio.sleep(0)


async def test_messages_arrive(ends: Ends, until: Until) -> None:
    ends.theirs.send(FrameWriter("x").frame(Output(1, b"hi", final=True)))
    await until(lambda: ends.messages)
    assert ends.messages == [Output(1, b"hi", final=True)]


async def test_the_end_of_the_socket_is_told_once_it_is_closed(ends: Ends, until: Until) -> None:
    ends.theirs.close()
    await until(lambda: ends.lost)
    assert ends.lost == ["hung up"]
    ends.channel.send(Cancel(1))


async def test_garbage_is_told_as_a_broken_protocol(ends: Ends, until: Until) -> None:
    ends.theirs.send(b"\xff" * 100)
    await until(lambda: ends.lost)
    assert ends.lost[0] == "protocol"


async def test_a_child_that_does_not_read_makes_the_channel_unwritable_until_it_does(ends: Ends, until: Until) -> None:
    sent = 0
    while ends.channel.writable:
        ends.channel.send(Submit(sent, "kind", bytes(500_000), 1.0, "urgent", ""))
        sent += 1
    assert sent < 100
    loop = asyncio.get_running_loop()
    while not ends.channel.writable:
        await loop.sock_recv(ends.theirs, 1 << 20)
    assert ends.writable_again == 1


# -- the process ------------------------------------------------------------------------------------------------------------
def test_a_plugin_may_override_but_secrets_do_not_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_TOKEN", "x")
    monkeypatch.setenv("LANG", "pt_BR.UTF-8")
    environment = child_environment(EngineSpec("e", "a:b", environment={"HF_HUB_OFFLINE": "0", "EXTRA": "1"}))
    assert "SECRET_TOKEN" not in environment
    assert environment["LANG"] == "pt_BR.UTF-8"
    assert (environment["HF_HUB_OFFLINE"], environment["EXTRA"]) == ("0", "1")
    assert all(entry.startswith("/") for entry in environment["PYTHONPATH"].split(":"))


async def test_a_process_that_was_never_spawned_ends_quietly() -> None:
    process = EngineProcess(EngineSpec("e", "a:b"), on_message=lambda _message: None)
    await process.end()
    assert process.cause_of_death == "ended"


# -- the watch --------------------------------------------------------------------------------------------------------------
def watch(process: Any, *, footprint: int = 0) -> Watch:
    return Watch(EngineSpec("e", "a:b", stall_limit_s=10.0), process, Rhythm(ping_s=1.0), footprint)


def test_it_pings_in_its_rhythm_and_not_while_an_answer_is_due() -> None:
    process = Watched()
    eye = watch(process)
    for now in (0.0, 0.5, 1.0):
        eye._look(now)
    assert len(process.sent) == 1
    eye.on_pong(Pong(process.sent[0].nonce, {"running": 2.0}), 1.0)
    eye._look(1.5)
    assert len(process.sent) == 1
    eye._look(2.1)
    assert len(process.sent) == 2
    assert eye.stats == {"running": 2.0}


def test_a_stall_is_a_kill_only_after_its_limit() -> None:
    process = Watched()
    eye = watch(process)
    eye._look(0.0)
    eye._look(10.0)
    assert process.killed == []
    eye._look(10.1)
    assert process.killed == ["stall"]


def test_a_stopped_child_is_killed_long_before_a_stall_but_not_at_once() -> None:
    process = Watched()
    eye = watch(process)
    for now in (0.0, 1.0, 2.0, 3.0):  # stopped and continued again and again
        process.stopped = True
        eye._look(now)
        eye._look(now + 0.9)
        process.stopped = False
        eye._look(now + 0.95)
    assert process.killed == []
    process.stopped = True
    eye._look(5.0)
    eye._look(6.0)
    assert process.killed == []
    eye._look(6.1)
    assert process.killed == ["stopped"]


def test_a_core_that_stood_still_itself_does_not_blame_its_child() -> None:
    process = Watched()
    process.stopped = True
    eye = watch(process)
    eye._look(0.0)
    eye._forgive(20.0)
    eye._look(20.5)
    assert process.killed == []
    eye._look(21.1)
    assert process.killed == ["stopped"]


def test_an_old_pong_does_not_count() -> None:
    process = Watched()
    eye = watch(process)
    eye._look(0.0)
    eye.on_pong(Pong(process.sent[0].nonce + 5, {}), 1.0)
    eye._look(10.1)
    assert process.killed == ["stall"]


@pytest.mark.parametrize(("footprint", "resident", "killed"), [(100, 150, []), (100, 151, ["memory"]), (0, 10**12, [])])
def test_memory_is_limited_to_one_and_a_half_of_what_was_declared(
    footprint: int, resident: int, killed: list[str]
) -> None:
    process = Watched()
    process.resident = resident
    watch(process, footprint=footprint)._look(0.0)
    assert process.killed == killed


def test_cancelled_work_may_go_on_for_a_moment_but_not_for_ever() -> None:
    process = Watched()
    eye = watch(process)
    now = 0.0
    for number in range(30):
        eye._look(now)
        eye.on_pong(Pong(process.sent[-1].nonce, {"ignored_cancels": float(min(number, 4))}), now)
        now += 1.0
    assert process.killed == []
    for number in range(12):
        eye._look(now)
        eye.on_pong(Pong(process.sent[-1].nonce, {"ignored_cancels": 100.0 + number}), now)
        now += 1.0
    assert process.killed[0] == "cancel ignored"


# -- errors -------------------------------------------------------------------------------------------------------------------
KINDS = [value for value in vars(errors).values() if isinstance(value, ErrorKind)]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.code)
def test_every_error_has_a_sentence_and_a_next_step_in_both_languages(kind: ErrorKind) -> None:
    error = kind(engine="fala", waiting=3, reason="x", size=1, needed_bytes=2, free_bytes=1, budget_bytes=1)
    for language in ("pt", "en"):
        assert "?" not in error.sentence(language)
        assert error.sentence(language).endswith(".")
        assert error.next_step(language).endswith(".")
    assert "fala" in error.sentence("pt")
    assert kind.code.startswith("engine.")
