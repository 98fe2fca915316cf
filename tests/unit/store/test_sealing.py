"""The framing refuses every change to a sealed stream: cut, flipped, reordered, repeated, continued, mixed."""

from __future__ import annotations

import hashlib
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.store.sealing import (
    HEADER_BYTES,
    PIECE_BYTES,
    SEALED_PIECE_BYTES,
    Damaged,
    DataKey,
    Opener,
    Sealer,
    sealed_size,
)

KEY = DataKey("key-1", hashlib.sha256(b"test").digest())
SIZES = st.sampled_from([0, 1, PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 1, 2 * PIECE_BYTES, 3 * PIECE_BYTES + 5])


def seal(plain: bytes, key: DataKey = KEY) -> tuple[bytes, list[bytes]]:
    sealer = Sealer(key)
    pieces = [plain[start : start + PIECE_BYTES] for start in range(0, len(plain), PIECE_BYTES)] or [b""]
    return sealer.header, [sealer.seal(piece, last=n == len(pieces) - 1) for n, piece in enumerate(pieces)]


def unseal(header: bytes, pieces: list[bytes], key: DataKey = KEY) -> bytes:
    opener = Opener(key, header)
    return b"".join(opener.open(piece, last=n == len(pieces) - 1) for n, piece in enumerate(pieces))


def refused(header: bytes, pieces: list[bytes], key: DataKey = KEY) -> bool:
    with pytest.raises(Damaged):
        unseal(header, pieces, key)
    return True


@given(SIZES)
def test_what_was_sealed_is_opened(size: int) -> None:
    plain = os.urandom(size)
    header, pieces = seal(plain)
    assert unseal(header, pieces) == plain
    assert len(header) + sum(map(len, pieces)) == sealed_size(size)
    assert plain[:64] not in b"".join(pieces) or size < 16


@given(SIZES, st.data())
def test_one_flipped_bit_anywhere_is_refused(size: int, data: st.DataObject) -> None:
    header, pieces = seal(os.urandom(size))
    stream = bytearray(header + b"".join(pieces))
    place = data.draw(st.integers(0, len(stream) * 8 - 1))
    stream[place // 8] ^= 1 << place % 8
    body = bytes(stream[HEADER_BYTES:])
    cut = [body[start : start + SEALED_PIECE_BYTES] for start in range(0, len(body), SEALED_PIECE_BYTES)]
    assert refused(bytes(stream[:HEADER_BYTES]), cut)


@given(SIZES, st.data())
def test_a_stream_cut_short_is_refused(size: int, data: st.DataObject) -> None:
    header, pieces = seal(os.urandom(size))
    body = b"".join(pieces)
    short = body[: data.draw(st.integers(0, len(body) - 1))]
    cut = [short[start : start + SEALED_PIECE_BYTES] for start in range(0, len(short), SEALED_PIECE_BYTES)] or [b""]
    assert refused(header, cut)


@given(st.permutations(range(4)), st.booleans())
def test_reordered_or_repeated_pieces_are_refused(order: list[int], repeat: bool) -> None:
    header, pieces = seal(os.urandom(4 * PIECE_BYTES))
    chosen = [*order, order[0]] if repeat else order
    moved = [pieces[n] for n in chosen]
    if chosen == [0, 1, 2, 3]:
        assert len(unseal(header, moved)) == 4 * PIECE_BYTES
    else:
        assert refused(header, moved)


def test_a_stream_continued_after_its_end_is_refused() -> None:
    header, pieces = seal(b"a" * PIECE_BYTES)
    assert refused(header, [*pieces, pieces[0]])
    assert refused(header, [*pieces, b""])


def test_pieces_of_another_stream_of_the_same_key_are_refused() -> None:
    header, pieces = seal(b"a" * 2 * PIECE_BYTES)
    other_header, other_pieces = seal(b"a" * 2 * PIECE_BYTES)
    assert refused(header, [pieces[0], other_pieces[1]])
    assert refused(other_header, pieces)


def test_another_key_or_the_same_secret_under_another_name_is_refused() -> None:
    header, pieces = seal(b"words")
    assert refused(header, pieces, DataKey("key-1", hashlib.sha256(b"other").digest()))
    assert refused(header, pieces, DataKey("key-2", KEY.secret))


@pytest.mark.parametrize("header", [b"", b"short", b"X" * HEADER_BYTES])
def test_a_file_of_another_kind_is_refused(header: bytes) -> None:
    with pytest.raises(Damaged):
        Opener(KEY, header)


def test_misuse_is_refused() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        Sealer(DataKey("short", b"123"))
    with pytest.raises(ValueError, match="64 KiB"):
        Sealer(KEY).seal(b"short", last=False)


def test_a_key_does_not_show_its_secret() -> None:
    assert repr(KEY) == "DataKey(key_id='key-1')"
    assert KEY.secret.hex() not in f"{KEY!r} {KEY}"
