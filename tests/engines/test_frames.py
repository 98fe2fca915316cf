from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.engines.frames import FrameError, FrameReader, FrameWriter
from appliance.engines.shared_block import (
    BlockError,
    BlockReceiver,
    BlockSender,
    prefix_for,
    remove_stale_blocks,
)
from appliance.plugin_api.messages import (
    INLINE_LIMIT_BYTES,
    MAX_FRAME_BYTES,
    Cancel,
    Failed,
    FromEngine,
    Output,
    Ping,
    Shared,
    Submit,
    ToEngine,
)

SHM = Path("/dev/shm")


@pytest.fixture
def prefix() -> str:
    return prefix_for(os.getpid(), secrets.token_hex(3))


def left(prefix: str) -> list[str]:
    return [file.name for file in SHM.glob(f"{prefix}*")] if SHM.is_dir() else []


MESSAGES = st.one_of(
    st.builds(
        Submit,
        st.integers(0, 2**40),
        st.text(max_size=20),
        st.binary(max_size=3000),
        st.floats(0, 1e6),
        st.sampled_from(["urgent", "background"]),
        st.text(max_size=20),
    ),
    st.builds(Cancel, st.integers(0, 2**40)),
    st.builds(Ping, st.integers(0, 2**40)),
)


@settings(deadline=None)
@given(st.lists(MESSAGES, max_size=12), st.lists(st.integers(1, 700), min_size=1, max_size=40))
def test_messages_survive_any_fragmentation(messages: list[Any], cuts: list[int]) -> None:
    writer, reader = FrameWriter("unused"), FrameReader[Any](ToEngine, "unused")  # type: ignore[arg-type]
    stream = b"".join(writer.frame(message) for message in messages)
    received, at, turn = [], 0, 0
    while at < len(stream):
        size = cuts[turn % len(cuts)]
        received += reader.feed(stream[at : at + size])
        at, turn = at + size, turn + 1
    assert received == messages


@pytest.mark.parametrize(
    "junk", [b"\x03\x00\x00\x00\xc1\xc1\xc1", b"\x02\x00\x00\x00\x91\x01", b"\x01\x00\x00\x00\x05"]
)
def test_garbage_is_an_error_and_not_a_message(junk: bytes) -> None:
    with pytest.raises(FrameError):
        FrameReader[Any](FromEngine, "unused").feed(junk)  # type: ignore[arg-type]


def test_a_message_of_the_other_direction_is_refused() -> None:
    frame = FrameWriter("unused").frame(Cancel(1))
    with pytest.raises(FrameError):
        FrameReader[Any](FromEngine, "unused").feed(frame)  # type: ignore[arg-type]


def test_a_frame_above_the_limit_is_refused_before_it_is_read() -> None:
    with pytest.raises(FrameError):
        FrameReader[Any](FromEngine, "unused").feed((MAX_FRAME_BYTES + 1).to_bytes(4, "little"))  # type: ignore[arg-type]


def test_a_large_payload_travels_beside_the_socket_and_leaves_nothing(prefix: str) -> None:
    payload = os.urandom(INLINE_LIMIT_BYTES + 1)
    frames = FrameWriter(prefix).frame(Output(7, payload, final=True))
    assert len(frames) < 1000
    reader = FrameReader[Any](FromEngine, prefix)  # type: ignore[arg-type]
    assert reader.feed(frames) == [Output(7, payload, final=True)]
    assert left(prefix) == []


def test_a_payload_at_the_limit_stays_in_the_frame(prefix: str) -> None:
    payload = bytes(INLINE_LIMIT_BYTES)
    assert len(FrameWriter(prefix).frame(Output(7, payload, final=True))) > INLINE_LIMIT_BYTES
    assert left(prefix) == []


def test_small_messages_between_large_ones_keep_their_order(prefix: str) -> None:
    writer, reader = FrameWriter(prefix), FrameReader[Any](FromEngine, prefix)  # type: ignore[arg-type]
    large = bytes(INLINE_LIMIT_BYTES + 1)
    messages = [
        Output(1, large, final=False),
        Failed(2, "x", ""),
        Output(3, large, final=True),
        Output(4, b"", final=True),
    ]
    stream = b"".join(writer.frame(message) for message in messages)
    assert reader.feed(stream) == messages
    assert left(prefix) == []


def test_the_sender_removes_what_was_never_taken(prefix: str) -> None:
    sender, receiver = BlockSender(prefix), BlockReceiver(prefix)
    first = sender.put(b"a" * 10)
    sender.put(b"b" * 10)
    sender.put(b"c" * 10)
    assert receiver.take(first) == b"a" * 10
    sender.clear()
    with pytest.raises(BlockError):
        receiver.take(Shared(f"{prefix}1", 10))
    assert left(prefix) == []


def test_the_receiver_removes_what_a_dead_sender_left(prefix: str) -> None:
    sender, receiver = BlockSender(prefix), BlockReceiver(prefix)
    receiver.take(sender.put(b"a"))
    blocks = [sender.put(b"b"), sender.put(b"c")]
    receiver.clear()
    for block in blocks:
        with pytest.raises(BlockError):
            BlockReceiver(prefix).take(block)
    assert left(prefix) == []


@pytest.mark.parametrize("wrong", ["another", "../etc/passwd", ""])
def test_only_the_next_block_of_this_channel_is_taken(prefix: str, wrong: str) -> None:
    sender = BlockSender(prefix)
    block = sender.put(b"secret")
    with pytest.raises(BlockError):
        BlockReceiver(prefix).take(Shared(wrong, 6))
    assert BlockReceiver(prefix).take(block) == b"secret"


def test_a_block_smaller_than_announced_is_refused_and_removed(prefix: str) -> None:
    block = BlockSender(prefix).put(b"four")
    with pytest.raises(BlockError):
        BlockReceiver(prefix).take(Shared(block.name, 1 << 20))
    assert left(prefix) == []


@pytest.mark.skipif(not SHM.is_dir(), reason="only Linux can list shared memory")
def test_blocks_of_a_dead_core_are_swept_and_those_of_the_living_stay(prefix: str) -> None:
    dead_pid = 2**22 - 3  # above the largest process id of a default Linux
    orphan = BlockSender(prefix_for(dead_pid, "aaaaaa")).put(b"x")
    alive = BlockSender(prefix).put(b"y")
    assert remove_stale_blocks() >= 1
    assert not (SHM / orphan.name).exists()
    assert BlockReceiver(prefix).take(alive) == b"y"
