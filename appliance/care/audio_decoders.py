"""Programs that turn a file into PCM, each run as a process of its own: a hostile file can only hurt that process.

Every decoder writes 16 kHz mono signed 16-bit little-endian PCM to its standard output and ends with one of the exit
statuses below. libsndfile (LGPL) is loaded inside our own child; ffmpeg and macOS ``afconvert`` are separate programs.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from appliance.care.audio_format import AudioFormat

EXIT_UNREADABLE = 65
"""sysexits.h EX_DATAERR: this program cannot read the file; another one may."""
EXIT_TRUNCATED = 66
"""Everything there was came out, and it was less than the file declares."""
CHILD = Path(__file__).with_name("audio_child.py")


class Decoder(Protocol):
    """One way to decode."""

    @property
    def name(self) -> str: ...

    def handles(self, found: AudioFormat) -> bool:
        """Whether it is worth trying on this container."""
        ...

    def available(self) -> bool:
        """Whether the program is on this machine."""
        ...

    def command(self, source: Path, found: AudioFormat) -> Sequence[str]:
        """The argument vector; ``source`` is an absolute path."""
        ...


def _child(*arguments: str) -> list[str]:
    # Isolated (-I): the child sees neither the working directory nor PYTHON* variables.
    return [sys.executable, "-I", str(CHILD), *arguments]


class SoundFileDecoder:
    """libsndfile: WAV, FLAC, MP3, Ogg Opus/Vorbis, AIFF, plain CAF."""

    name = "libsndfile"

    def handles(self, found: AudioFormat) -> bool:
        return found.libsndfile

    def available(self) -> bool:
        return True

    def command(self, source: Path, found: AudioFormat) -> Sequence[str]:
        del found
        return _child("libsndfile", str(source))


class FfmpegDecoder:
    """ffmpeg, told which demuxer to use: a playlist or a script in disguise is never followed."""

    name = "ffmpeg"

    def __init__(self, program: str = "ffmpeg") -> None:
        self._program = program

    def handles(self, found: AudioFormat) -> bool:
        return bool(found.demuxer)

    def available(self) -> bool:
        return shutil.which(self._program) is not None

    def command(self, source: Path, found: AudioFormat) -> Sequence[str]:
        program = shutil.which(self._program) or self._program
        reading = ["-protocol_whitelist", "file,pipe", "-threads", "1", "-f", found.demuxer, "-i", f"file:{source}"]
        writing = ["-map", "0:a:0", "-vn", "-sn", "-dn", "-ac", "1", "-ar", "16000", "-f", "s16le", "pipe:1"]
        return _child("run", program, "-hide_banner", "-nostdin", "-loglevel", "quiet", *reading, *writing)


class AfconvertDecoder:
    """macOS's own converter. It cannot write to a pipe, so our child lets it write beside the source and reads that."""

    name = "afconvert"

    def __init__(self, program: str = "afconvert") -> None:
        self._program = program

    def handles(self, found: AudioFormat) -> bool:
        return found.name in {"mp4", "aac", "caf", "wav", "aiff", "mp3", "flac", "amr"}

    def available(self) -> bool:
        return shutil.which(self._program) is not None

    def command(self, source: Path, found: AudioFormat) -> Sequence[str]:
        del found
        program = shutil.which(self._program) or self._program
        return _child("afconvert", program, str(source))


def standard_decoders() -> tuple[Decoder, ...]:
    """What this machine may offer, best first."""
    return (SoundFileDecoder(), AfconvertDecoder(), FfmpegDecoder())
