"""The decoder's own process: reads one audio file, writes 16 kHz mono s16le PCM to standard output.

Run as a script, isolated, never imported by the core (only its resampler is, by tests): a parser of hostile input has no
place in the process that holds the keys. It limits its own memory and processor time before it opens anything.

Usage: ``audio_child.py libsndfile FILE`` · ``audio_child.py afconvert PROGRAM FILE`` · ``audio_child.py run PROGRAM ARG…``
"""

from __future__ import annotations

import contextlib
import io
import os
import resource
import struct
import subprocess  # fixed argument vectors, no shell
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO

TARGET_HZ = 16_000
EXIT_UNREADABLE = 65
EXIT_TRUNCATED = 66
MEMORY_BYTES = 2 << 30
CPU_SECONDS = 1800
MAX_CHANNELS = 32
RATES_HZ = range(2_000, 768_001)
PASS_SHARE = 0.92
"""The pass band ends at this share of the lower Nyquist frequency."""
STOP_BAND_DB = 80.0


class Resampler:
    """Rational-rate polyphase resampler with a Kaiser-windowed low-pass; fed block by block, float32 mono.

    Frames of M input samples become L output samples by one matrix product, so that the work is done by BLAS. Rates
    that share no factor with 16 kHz are approximated by L ≤ 1000, an error below 1e-6: 4 ms in an hour.
    """

    def __init__(self, rate_hz: int, target_hz: int = TARGET_HZ) -> None:
        import numpy as np

        self._np = np
        ratio = Fraction(target_hz, rate_hz).limit_denominator(3000)
        if ratio.numerator > 1000:  # noqa: PLR2004  bounds the matrix: see the class
            ratio = 1 / Fraction(rate_hz, target_hz).limit_denominator(1000)
        self.identity = ratio == 1
        repeat = max(1, -(-160 // ratio.numerator))
        self._step, self._out = ratio.denominator * repeat, ratio.numerator * repeat
        self._weights, self._reach = self._design(ratio)
        self._left: Any = np.zeros(self._reach, np.float32)
        self._owed = Fraction(0)
        self._ratio = ratio

    def _design(self, ratio: Fraction) -> tuple[Any, int]:
        """Weights (step + 2·reach, out): column n is the low-pass centred where output n falls among the inputs."""
        np = self._np
        cutoff = 0.5 * min(1.0, float(ratio))  # cycles per input sample
        transition = 2 * cutoff * (1 - PASS_SHARE)
        reach = int(np.ceil((STOP_BAND_DB - 7.95) / (14.36 * transition) / 2))
        rows = np.arange(self._step + 2 * reach)[:, None] - reach
        centres = np.arange(self._out)[None, :] / float(ratio)
        distance = rows - centres
        middle = cutoff * (1 + PASS_SHARE) / 2
        beta = 0.1102 * (STOP_BAND_DB - 8.7)
        inside = np.clip(1 - (distance / reach) ** 2, 0, None)
        window = np.i0(beta * np.sqrt(inside)) / np.i0(beta) * (np.abs(distance) <= reach)
        weights = 2 * middle * np.sinc(2 * middle * distance) * window
        return (weights / weights.sum(0, keepdims=True)).astype(np.float32), reach

    def feed(self, samples: Any) -> Any:
        """The outputs that ``samples`` complete."""
        if self.identity:
            return samples
        self._owed += len(samples) * self._ratio
        return self._run(self._np.concatenate([self._left, samples]))

    def finish(self) -> Any:
        """The rest: as many outputs as the input lasted, no more."""
        np = self._np
        if self.identity:
            return np.zeros(0, np.float32)
        owed = round(self._owed)
        tail = np.zeros(self._step + 2 * self._reach, np.float32)
        rest = self._run(np.concatenate([self._left, tail, np.zeros(self._step, np.float32)]))
        return rest[: max(0, owed)]

    def _run(self, buffer: Any) -> Any:
        np = self._np
        width = self._step + 2 * self._reach
        frames = max(0, (len(buffer) - width) // self._step + 1)
        self._left = buffer[frames * self._step :].copy()
        if not frames:
            return np.zeros(0, np.float32)
        windows = np.lib.stride_tricks.sliding_window_view(buffer, width)[:: self._step][:frames]
        out = np.ascontiguousarray(windows) @ self._weights
        self._owed -= frames * self._out
        return out.reshape(-1)


def to_pcm(samples: Any) -> bytes:
    """Float samples in -1…1 as s16le."""
    import numpy as np

    scaled = np.clip(np.nan_to_num(samples) * 32768.0, -32768, 32767)
    return bytes(np.rint(scaled).astype("<i2").tobytes())


class Unsized(io.FileIO):
    """A WAV whose header says 0 because it was written before the length was known; reads as "unknown" for libsndfile."""

    def __init__(self, source: Path, place: int) -> None:
        super().__init__(source)
        self._place = place

    def readinto(self, buffer: Any, /) -> int:
        begin = self.tell()
        count = super().readinto(buffer) or 0
        view = memoryview(buffer).cast("B")
        for at in range(max(begin, self._place), min(begin + count, self._place + 4)):
            view[at - begin] = 0xFF
        return count


def length_left_open(source: Path) -> int | None:
    """Where a WAV's header says that its sound is 0 bytes long although bytes follow that are no further part of the file."""
    size = source.stat().st_size
    with source.open("rb") as file:
        if file.read(4) != b"RIFF":
            return None
        place, found = 12, None
        while place + 8 <= size:
            file.seek(place)
            name, length = struct.unpack("<4sI", file.read(8))
            if name == b"data" and length == 0 and found is None:
                found = place + 4
            place += 8 + length + (length & 1)
    return found if found is not None and place != size else None


def decode_with_libsndfile(source: Path, out: BinaryIO) -> int:
    """Decode block by block; the exit status says how it ended."""
    import numpy as np
    import soundfile

    open_end = length_left_open(source)
    try:
        file = soundfile.SoundFile(str(source) if open_end is None else Unsized(source, open_end))
    except (soundfile.LibsndfileError, ValueError):
        return EXIT_UNREADABLE
    with file:
        if file.channels > MAX_CHANNELS or file.samplerate not in RATES_HZ:
            return EXIT_UNREADABLE
        resampler = Resampler(file.samplerate)
        declared, seen, broken = file.frames, 0, False
        block = max(1024, min(file.samplerate, 48_000))
        while True:
            try:
                samples = file.read(block, dtype="float32", always_2d=True)
            except soundfile.LibsndfileError:
                broken = True
                break
            if not len(samples):
                break
            seen += len(samples)
            out.write(to_pcm(resampler.feed(samples.mean(axis=1, dtype=np.float32))))
        out.write(to_pcm(resampler.finish()))
    unknown = declared >= 1 << 62  # a stream that does not say how long it is
    return EXIT_TRUNCATED if broken or (seen < declared and not unknown) else 0


def decode_with_afconvert(program: str, source: Path, out: BinaryIO) -> int:
    """Let afconvert write a WAV beside the source (a private folder), then read that."""
    target = source.with_name(source.name + ".converted.wav")
    try:
        argv = [program, str(source), str(target), "-f", "WAVE", "-d", "LEI16@16000", "-c", "1", "--mix"]
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=False)
        if done.returncode or not target.exists():
            return EXIT_UNREADABLE
        return decode_with_libsndfile(target, out)
    finally:
        target.unlink(missing_ok=True)


def limit_resources() -> None:
    """Bound memory and processor time; a limit that the system refuses (macOS knows no RLIMIT_AS) is left out."""
    for kind, value in (
        (resource.RLIMIT_AS, MEMORY_BYTES),
        (resource.RLIMIT_CPU, CPU_SECONDS),
        (resource.RLIMIT_CORE, 0),
    ):
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(kind, (value, value))


def main(arguments: list[str]) -> int:
    """Dispatch; see the module."""
    limit_resources()
    match arguments:
        case ["libsndfile", source]:
            return decode_with_libsndfile(Path(source), sys.stdout.buffer)
        case ["afconvert", program, source]:
            return decode_with_afconvert(program, Path(source), sys.stdout.buffer)
        case ["run", program, *rest]:
            os.execv(program, [program, *rest])  # noqa: S606  an absolute path and a fixed argument vector
    return 64


if __name__ == "__main__":
    try:
        status = main(sys.argv[1:])
        sys.stdout.flush()
    except BrokenPipeError:  # the reader has had enough
        status = 0
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    sys.exit(status)
