from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from appliance.care import audio
from appliance.care.audio import decode, spooled, sweep
from appliance.care.audio_child import MAX_CHANNELS
from appliance.care.audio_decoders import (
    AfconvertDecoder,
    FfmpegDecoder,
    SoundFileDecoder,
    standard_decoders,
)
from appliance.care.audio_format import AudioFormat
from appliance.plugin_api.errors import ProntuarioError
from tests.fakes import sounds

needs_ffmpeg = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is not on this machine")


async def heard(source: Path, **options: Any) -> tuple[bytes, str | None]:
    """Everything that came out, and the code of the error at the end."""
    pcm = bytearray()
    try:
        async for block in decode(source, **({"max_hours": 2.0} | options)):
            assert len(block) % 2 == 0
            pcm += block
    except ProntuarioError as error:
        return bytes(pcm), error.kind.code
    return bytes(pcm), None


class Program:
    """A decoder that runs a Python one-liner."""

    name = "program"

    def __init__(self, code: str, *, there: bool = True) -> None:
        self.code = code
        self.there = there

    def handles(self, found: AudioFormat) -> bool:
        return True

    def available(self) -> bool:
        return self.there

    def command(self, source: Path, found: AudioFormat) -> Sequence[str]:
        return [sys.executable, "-I", "-c", self.code, str(source)]


@pytest.mark.parametrize(
    ("rate", "channels"), [(8_000, 1), (11_025, 2), (16_000, 2), (44_100, 2), (48_000, 1), (44_101, 1), (96_000, 6)]
)
async def test_any_rate_becomes_16_khz_mono_with_time_pitch_and_level_kept(
    tmp_path: Path, rate: int, channels: int
) -> None:
    source = sounds.write(tmp_path / "a.wav", sounds.tone(2, rate, hertz=1000, channels=channels), rate)
    pcm, error = await heard(source)
    samples = sounds.as_floats(pcm)
    assert error is None
    assert abs(len(samples) - 32_000) <= 1
    assert abs(sounds.pitch(samples) - 1000) < 1
    assert sounds.loudness(samples) == pytest.approx(0.3535, rel=0.02)


async def test_what_16_khz_cannot_hold_is_filtered_out_and_not_folded_back(tmp_path: Path) -> None:
    source = sounds.write(tmp_path / "a.wav", sounds.tone(2, 48_000, hertz=10_000), 48_000)
    pcm, _ = await heard(source)
    assert sounds.loudness(sounds.as_floats(pcm)) < 0.002


@pytest.mark.parametrize(
    ("name", "options"),
    [("a.flac", {}), ("a.mp3", {}), ("a.ogg", {"subtype": "OPUS"}), ("a.ogg", {}), ("a.aiff", {}), ("a.caf", {})],
)
async def test_formats_of_libsndfile(tmp_path: Path, name: str, options: dict[str, Any]) -> None:
    source = sounds.write(tmp_path / name, sounds.tone(2, 48_000, hertz=1000), 48_000, **options)
    pcm, error = await heard(source)
    samples = sounds.as_floats(pcm)
    assert error is None
    assert len(samples) == pytest.approx(32_000, abs=1600)
    assert abs(sounds.pitch(samples) - 1000) < 5


@needs_ffmpeg
@pytest.mark.parametrize(
    ("name", "codec"), [("a.m4a", "aac"), ("a.aac", "aac"), ("a.webm", "libopus"), ("a.wav", "adpcm_ms")]
)
async def test_formats_of_the_external_decoder(tmp_path: Path, name: str, codec: str) -> None:
    plain = sounds.write(tmp_path / "plain.flac", sounds.tone(2, 48_000, hertz=1000), 48_000)
    source = converted(plain, tmp_path / name, "-c:a", codec)
    pcm, error = await heard(source)
    samples = sounds.as_floats(pcm)
    assert error is None
    assert len(samples) == pytest.approx(32_000, abs=3200)
    assert abs(sounds.pitch(samples) - 1000) < 5


def converted(source: Path, target: Path, *arguments: str) -> Path:
    argv = ["ffmpeg", "-y", "-loglevel", "error", "-i", str(source), *arguments, str(target)]
    subprocess.run(argv, check=True, stdin=subprocess.DEVNULL, timeout=60)
    return target


async def test_content_decides_and_the_name_does_not(tmp_path: Path) -> None:
    source = sounds.write(tmp_path / "a.flac", sounds.tone(1), 16_000).rename(tmp_path / "report.pdf")
    pcm, error = await heard(source)
    assert (len(pcm), error) == (32_000, None)


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "audio.empty"),
        (b"hello, I am a text", "audio.unsupported"),
        (b"%PDF-1.7 ...", "audio.unsupported"),
        (b"#EXTM3U\nhttp://example.org/a.mp3\n", "audio.unsupported"),
        (b"\x89PNG\r\n\x1a\n" + bytes(200), "audio.unsupported"),
        (b"fLaC" + bytes(100), "audio.damaged"),
        (b"\xff\xfb\x90\x00" + b"\x01" * 50, "audio.damaged"),
        (b"RIFF\x04\x00\x00\x00WAVE", "audio.truncated"),
        (sounds.lying_wav(0, b""), "audio.empty"),
        (sounds.lying_wav(3_000_000_000, b""), "audio.empty"),
    ],
)
async def test_bad_files_get_their_own_answer(tmp_path: Path, content: bytes, code: str) -> None:
    source = tmp_path / "a"
    source.write_bytes(content)
    pcm, error = await heard(source)
    assert (pcm, error) == (b"", code)


@pytest.mark.parametrize(
    ("name", "options"), [("a.wav", {}), ("a.flac", {}), ("a.mp3", {}), ("a.ogg", {"subtype": "OPUS"})]
)
async def test_a_cut_file_gives_what_is_there_and_then_says_so(
    tmp_path: Path, name: str, options: dict[str, Any]
) -> None:
    source = sounds.write(tmp_path / name, sounds.tone(4, 48_000), 48_000, **options)
    content = source.read_bytes()
    source.write_bytes(content[: len(content) * 3 // 4])
    pcm, error = await heard(source)
    assert error == "audio.truncated"
    assert 1.0 < len(pcm) / 32_000 < 3.9


@needs_ffmpeg
async def test_a_cut_m4a_without_its_table_of_contents_is_truncated(tmp_path: Path) -> None:
    plain = sounds.write(tmp_path / "plain.flac", sounds.tone(3), 16_000)
    source = converted(plain, tmp_path / "a.m4a", "-c:a", "aac")
    content = source.read_bytes()
    source.write_bytes(content[: len(content) // 2])
    assert await heard(source) == (b"", "audio.truncated")


async def test_a_header_that_declares_3_gb_costs_nothing(tmp_path: Path) -> None:
    source = tmp_path / "a.wav"
    source.write_bytes(sounds.lying_wav(0x7FFFF000, sounds.wav(1.0)[44:]))  # a pipe's "unknown"
    assert (await heard(source))[1] is None
    source.write_bytes(sounds.lying_wav(1_900_000_000, sounds.wav(1.0)[44:]))
    pcm, error = await heard(source)
    assert (len(pcm), error) == (32_000, "audio.truncated")


async def test_a_wav_that_never_learned_its_length_is_heard_whole(tmp_path: Path) -> None:
    """A phone that streams writes its header first."""
    source, samples = tmp_path / "a.wav", sounds.wav(1.0)[44:]
    source.write_bytes(sounds.lying_wav(0, samples))
    pcm, error = await heard(source)
    assert (pcm, error) == (samples, None)
    assert source.read_bytes() == sounds.lying_wav(0, samples)


async def test_an_empty_wav_with_a_remark_at_its_end_stays_empty(tmp_path: Path) -> None:
    source = tmp_path / "a.wav"
    source.write_bytes(sounds.lying_wav(0, b"LIST\4\0\0\0INFO"))
    assert await heard(source) == (b"", "audio.empty")


@pytest.mark.slow
async def test_two_hours_decode_in_bounded_memory_and_a_little_more_is_refused(tmp_path: Path) -> None:
    source = await asyncio.to_thread(_silence, tmp_path / "long.flac", 7200)
    assert source.stat().st_size < 8_000_000
    total = largest = 0
    async for block in decode(source, max_hours=2.0):
        total += len(block)
        largest = max(largest, len(block))
    assert total == 7200 * 32_000
    assert largest <= audio.BLOCK_BYTES + 1
    pcm, error = await heard(source, max_hours=0.01)
    assert error == "audio.too_long"
    assert len(pcm) <= 36 * 32_000


def _silence(path: Path, seconds: int) -> Path:
    import numpy as np
    import soundfile

    with soundfile.SoundFile(str(path), "w", 16_000, 1, format="FLAC") as file:
        for _ in range(seconds // 60):
            file.write(np.zeros(16_000 * 60, np.float32))
    return path


async def test_too_many_channels_are_refused(tmp_path: Path) -> None:
    source = sounds.write(tmp_path / "a.wav", sounds.tone(0.2, channels=MAX_CHANNELS + 1), 16_000)
    _pcm, error = await heard(source, decoders=[SoundFileDecoder()])
    assert error == "audio.damaged"


async def test_a_hung_decoder_is_killed_with_its_children(tmp_path: Path) -> None:
    source = sounds.write(tmp_path / "a.wav", sounds.tone(0.1), 16_000)
    pid_file = tmp_path / "pid"
    code = (
        "import os, subprocess, sys, time\n"
        f"child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        f"open({str(pid_file)!r}, 'w').write(str(child.pid)); time.sleep(600)"
    )
    _pcm, error = await heard(source, decoders=[Program(code)], stall_s=4.0)
    assert error == "audio.decoder_stalled"
    assert await gone(int(pid_file.read_text()))


async def gone(pid: int) -> bool:
    """Whether the process ends (a zombie waiting for its parent has ended too)."""
    for _ in range(200):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        state = Path(f"/proc/{pid}/stat")
        if state.exists() and state.read_text().rpartition(")")[2].split()[0] == "Z":
            return True
        await asyncio.sleep(0.05)
    return False


async def test_closing_the_iterator_kills_the_decoder(tmp_path: Path) -> None:
    source = sounds.write(tmp_path / "a.wav", sounds.tone(0.1), 16_000)
    pid_file = tmp_path / "pid"
    code = (
        f"import os, sys; open({str(pid_file)!r}, 'w').write(str(os.getpid()))\n"
        "while True: sys.stdout.buffer.write(bytes(65536))"
    )
    blocks = decode(source, max_hours=2.0, decoders=[Program(code)])
    await anext(blocks)
    await blocks.aclose()  # type: ignore[attr-defined]
    assert await gone(int(pid_file.read_text()))


async def test_a_decoder_that_crashes_half_way_yields_its_part(tmp_path: Path) -> None:
    source = sounds.write(tmp_path / "a.wav", sounds.tone(0.1), 16_000)
    code = "import os, sys; sys.stdout.buffer.write(bytes(1001)); sys.stdout.flush(); os.kill(os.getpid(), 9)"
    pcm, error = await heard(source, decoders=[Program(code)])
    assert (len(pcm), error) == (1000, "audio.truncated")


async def test_the_next_decoder_is_tried_when_one_cannot_read_at_all(tmp_path: Path) -> None:
    source = sounds.write(tmp_path / "a.wav", sounds.tone(0.1), 16_000)
    refusing, working = Program("raise SystemExit(65)"), Program("import sys; sys.stdout.buffer.write(bytes(320))")
    assert await heard(source, decoders=[refusing, working]) == (bytes(320), None)
    assert await heard(source, decoders=[Program("", there=False), working]) == (bytes(320), None)


async def test_without_any_decoder_it_says_what_to_install(tmp_path: Path) -> None:
    source = tmp_path / "a.m4a"
    source.write_bytes(b"\x00\x00\x00\x18ftypM4A " + bytes(100))
    with pytest.raises(ProntuarioError) as caught:
        async for _ in decode(source, max_hours=2.0, decoders=[SoundFileDecoder()]):
            pass
    assert caught.value.kind.code == "audio.decoder_missing"
    assert "mp4" in caught.value.sentence("pt")


def test_ffmpeg_is_told_the_demuxer_and_may_open_nothing_else(tmp_path: Path) -> None:
    source = tmp_path / "a"
    source.write_bytes(b"\x1a\x45\xdf\xa3")
    argv = list(FfmpegDecoder().command(source, AudioFormat("webm", "audio/webm", "matroska", libsndfile=False)))
    assert argv[argv.index("-f") + 1] == "matroska"
    assert argv[argv.index("-protocol_whitelist") + 1] == "file,pipe"
    assert argv[argv.index("-i") + 1] == f"file:{source}"


async def test_afconvert_writes_beside_the_source_and_nothing_stays(tmp_path: Path) -> None:
    """The program of macOS, played by a script with its arguments: ``afconvert IN OUT -f WAVE -d LEI16@16000 -c 1 --mix``."""
    program = tmp_path / "afconvert"
    program.write_text(
        f'#!/bin/sh\n[ "$3 $4 $5 $6 $7 $8 $9" = "-f WAVE -d LEI16@16000 -c 1 --mix" ] || exit 9\ncp {tmp_path}/out.wav "$2"\n'
    )
    program.chmod(0o755)
    sounds.write(tmp_path / "out.wav", sounds.tone(0.5), 16_000)
    folder = tmp_path / "spool"
    folder.mkdir()
    source = folder / "a"
    source.write_bytes(b"\x00\x00\x00\x18ftypM4A " + bytes(12) + b"\x00\x00\x00\x08moov")
    pcm, error = await heard(source, decoders=[AfconvertDecoder(str(program))])
    assert (len(pcm), error) == (16_000, None)
    assert list(folder.iterdir()) == [source]


def test_the_best_decoder_comes_first() -> None:
    assert [decoder.name for decoder in standard_decoders()] == ["libsndfile", "afconvert", "ffmpeg"]


async def _pieces(*pieces: bytes) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


async def test_the_spool_is_private_and_empties_itself(tmp_path: Path) -> None:
    folder = tmp_path / "spool"
    async with spooled(_pieces(b"ab", b"", b"cd"), folder, max_bytes=10) as path:
        assert path.read_bytes() == b"abcd"
        assert path.stat().st_mode & 0o777 == 0o600
        assert folder.stat().st_mode & 0o777 == 0o700
    assert list(folder.iterdir()) == []
    with pytest.raises(ProntuarioError, match=r"audio\.too_big"):
        async with spooled(_pieces(b"abc", b"def"), folder, max_bytes=5):
            pass
    assert list(folder.iterdir()) == []


def test_the_sweep_removes_what_a_kill_left_and_nothing_else(tmp_path: Path) -> None:
    assert sweep(tmp_path / "none") == 0
    (tmp_path / "spool-abc").write_bytes(b"speech")
    (tmp_path / "spool-abc.converted.wav").write_bytes(b"speech")
    (tmp_path / "other").write_bytes(b"keep")
    assert sweep(tmp_path) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["other"]
