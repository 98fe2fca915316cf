"""A WAV that is still growing: the same samples whatever way the file is cut, and a clear no to everything else."""

from __future__ import annotations

import io
import struct
from itertools import pairwise

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from appliance.care.live_audio import GrowingWav
from appliance.plugin_api.errors import ProntuarioError
from tests.fakes import sounds

SOUND = np.arange(2_000, dtype="<i2")


def wav(*, rate: int = 16_000, channels: int = 1, subtype: str = "PCM_16", kind: str = "WAV") -> bytes:
    out = io.BytesIO()
    samples = np.repeat(SOUND[:, None], channels, axis=1)
    soundfile.write(out, samples, rate, format=kind, subtype=subtype)
    return out.getvalue()


def fed(pieces: list[bytes]) -> bytes:
    growing = GrowingWav()
    return b"".join(growing.feed(piece) for piece in pieces)


@given(st.lists(st.integers(0, 4_044), max_size=30))
def test_the_samples_do_not_depend_on_the_cuts(places: list[int]) -> None:
    data = wav()
    edges = [0, *sorted(places), len(data)]
    pieces = [data[start:end] for start, end in pairwise(edges)]
    assert fed(pieces) == SOUND.tobytes()


def test_what_follows_the_sound_is_no_sound() -> None:
    assert fed([wav() + b"LIST\x04\0\0\0INFO"]) == SOUND.tobytes()


def test_other_parts_before_the_sound_are_passed_over() -> None:
    data = wav()
    note = b"LIST" + struct.pack("<I", 5) + b"hello\0"
    assert fed([data[:12] + note + data[12:]]) == SOUND.tobytes()


@pytest.mark.parametrize("declared", [0, 0x7FFFF000, 0xFFFFFFFF, 0xFFFFF000])
def test_a_header_written_before_the_end_was_known_makes_no_claim(declared: int) -> None:
    data = sounds.lying_wav(declared, SOUND.tobytes())
    assert fed([data[:50], data[50:], b"\1\2"]) == SOUND.tobytes() + b"\1\2"


def test_the_extensible_form_is_plain_too() -> None:
    assert fed([wav(kind="WAVEX")]) == SOUND.tobytes()


@pytest.mark.parametrize(
    "data",
    [
        wav(rate=48_000),
        wav(channels=2),
        wav(subtype="FLOAT"),
        wav(subtype="PCM_24"),
        wav(kind="FLAC"),
        b"abc",
        b"RIFFxxxxAVI ",
        b"RIFF\0\0\0\0WAVE" + b"data" + struct.pack("<I", 100) + bytes(100),
        b"RIFF\0\0\0\0WAVE" + b"JUNK" + struct.pack("<I", 1 << 30) + bytes(70_000),
    ],
)
def test_what_needs_a_decoder_is_not_live(data: bytes) -> None:
    with pytest.raises(ProntuarioError) as caught:
        fed([data])
    assert caught.value.kind.code == "dictation.live_unsupported"


def test_an_incomplete_header_is_waited_for() -> None:
    assert fed([wav()[:30]]) == b""
    assert fed([b""]) == b""
