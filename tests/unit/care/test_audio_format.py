from __future__ import annotations

import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.care import audio_format as formats
from appliance.care.audio_format import inspect, sniff
from appliance.plugin_api.errors import ProntuarioError
from tests.fakes import sounds

HEADS = [
    (b"RIFF\x24\x00\x00\x00WAVEfmt ", formats.WAV),
    (b"RF64\xff\xff\xff\xffWAVEds64", formats.WAV),
    (b"fLaC\x00\x00\x00\x22", formats.FLAC),
    (b"OggS\x00\x02" + bytes(8), formats.OGG),
    (b"FORM\x00\x00\x00\x10AIFF", formats.AIFF),
    (b"FORM\x00\x00\x00\x10AIFC", formats.AIFF),
    (b"caff\x00\x01\x00\x00", formats.CAF),
    (b"\x00\x00\x00\x1cftypM4A \x00", formats.MP4),
    (b"\x00\x00\x00\x14ftypqt  ", formats.MP4),
    (b"\x00\x00\x00\x14ftyp3gp5", formats.MP4),
    (b"\x1a\x45\xdf\xa3\x9f\x42\x86", formats.MATROSKA),
    (b"#!AMR\n\x3c", formats.AMR),
    (b"ID3\x04\x00\x00\x00\x00\x00\x00", formats.MP3),
    (b"\xff\xfb\x90\x64\x00", formats.MP3),
    (b"\xff\xf3\x84\xc4\x00", formats.MP3),
    (b"\xff\xf1\x50\x80\x00", formats.AAC),
    (b"\xff\xf9\x50\x80\x00", formats.AAC),
]
NOT_AUDIO = [
    b"",
    b"R",
    b"RIFF\x24\x00\x00\x00AVI LIST",
    b"RIFF\x24\x00\x00\x00WEBPVP8 ",
    b"FORM\x00\x00\x00\x108SVX",
    b"PK\x03\x04\x14\x00",
    b"\x89PNG\r\n\x1a\n",
    b"%PDF-1.4",
    b"<html><body>",
    b"#EXTM3U\n",
    b"ffconcat version 1.0\n",
    b"\xff\xd8\xff\xe0\x00\x10JFIF",
    b"\xff\xff\xff\xff\xff\xff",
    b"\xff\xfb\xf0\x00",
    b"\xff\xe1\x00\x00",
    bytes(64),
]


@pytest.mark.parametrize(("head", "found"), HEADS, ids=lambda value: getattr(value, "name", None))
def test_each_container_is_known_by_its_first_bytes(head: bytes, found: formats.AudioFormat) -> None:
    assert sniff(head) is found
    assert sniff(head + bytes(100)) is found


@pytest.mark.parametrize("head", NOT_AUDIO)
def test_everything_else_is_not_audio(head: bytes) -> None:
    assert sniff(head) is None


@given(st.binary(max_size=64))
def test_any_bytes_have_an_answer(head: bytes) -> None:
    found = sniff(head)
    assert found is None or found.media_type.startswith("audio/")


def file_of(folder: Path, content: bytes) -> Path:
    path = folder / "recording"
    path.write_bytes(content)
    return path


def truncated(folder: Path, content: bytes) -> bool:
    return inspect(file_of(folder, content)).truncated


def box(name: bytes, body: bytes = b"", *, length: int | None = None) -> bytes:
    return struct.pack(">I4s", 8 + len(body) if length is None else length, name) + body


FTYP = box(b"ftyp", b"M4A \x00\x00\x00\x00")


@pytest.mark.parametrize(
    ("content", "cut"),
    [
        (FTYP + box(b"moov", bytes(50)) + box(b"mdat", bytes(90)), False),
        (FTYP + box(b"mdat", bytes(90)) + box(b"moov", bytes(50)), False),
        (FTYP + box(b"moov", bytes(50)) + box(b"mdat", bytes(90), length=0), False),
        (FTYP + box(b"moof", bytes(50)) + box(b"mdat", bytes(90)), False),
        (FTYP + box(b"moov") + struct.pack(">I4sQ", 1, b"mdat", 16 + 4) + bytes(4), False),
        (FTYP + box(b"moov", bytes(50)) + box(b"mdat", bytes(90))[:-1], True),
        (FTYP + box(b"mdat", bytes(90)), True),
        (FTYP + box(b"mdat", bytes(90), length=0), True),
        (FTYP + box(b"mdat", bytes(9), length=3), True),
        (FTYP + struct.pack(">I4sQ", 1, b"mdat", 1 << 62), True),
        (FTYP + struct.pack(">I4s", 1, b"mdat"), True),
        (FTYP, True),
    ],
)
def test_the_boxes_of_an_mp4_tell_whether_it_is_whole(tmp_path: Path, content: bytes, cut: bool) -> None:
    assert truncated(tmp_path, content) is cut


def test_a_wave_file_is_whole_when_its_samples_are(tmp_path: Path) -> None:
    whole = sounds.wav(0.1)
    assert not truncated(tmp_path, whole)
    assert not truncated(tmp_path, whole + b"LIST\x04\x00\x00\x00INFO")
    for end in (len(whole) - 1, 45, 40, 20, 12):
        assert truncated(tmp_path, whole[:end])
    assert not truncated(tmp_path, sounds.lying_wav(0, bytes(10)))
    assert not truncated(tmp_path, sounds.lying_wav(0xFFFFFFFF, bytes(10)))


def test_an_ogg_file_is_whole_when_its_last_page_says_so(tmp_path: Path) -> None:
    whole = sounds.write(tmp_path / "a.ogg", sounds.tone(1.0), 16_000).read_bytes()
    assert not truncated(tmp_path, whole)
    for end in (len(whole) - 1, len(whole) // 2, 40, 10):
        assert truncated(tmp_path, whole[:end])


def test_what_stands_behind_an_id3_tag_decides(tmp_path: Path) -> None:
    tag = b"ID3\x04\x00\x00\x00\x00\x01\x00" + bytes(128)
    assert inspect(file_of(tmp_path, tag + b"\xff\xf1\x50\x80")).format is formats.AAC
    assert inspect(file_of(tmp_path, tag + b"\xff\xfb\x90\x64")).format is formats.MP3
    assert inspect(file_of(tmp_path, b"ID3\x04")).format is formats.MP3


@given(content=st.binary(min_size=1, max_size=300), head=st.sampled_from([head for head, _ in HEADS]))
def test_no_content_breaks_the_look_at_it(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, head: bytes
) -> None:
    path = tmp_path_factory.mktemp("any") / "a"
    path.write_bytes(head + content)
    assert inspect(path).format.name
    path.write_bytes(content)
    if sniff(content) is None:
        with pytest.raises(ProntuarioError, match=r"audio\.unsupported"):
            inspect(path)
    else:
        assert inspect(path).format.name
