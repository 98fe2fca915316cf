"""Speak the sample consult with espeak-ng: appliance/daemon/sample/consult.txt → consult.flac (16 kHz mono).

Each line of the text is ``what should be written | what is said``; the second part may be missing. Run it again only
when the text changes: ``python tools/make_sample.py``. Needs espeak-ng; the result does not depend on the machine.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import soundfile
from scipy.signal import resample_poly

SAMPLE = Path(__file__).resolve().parent.parent / "appliance" / "daemon" / "sample"
VOICE, WORDS_PER_MINUTE, PITCH = "pt-br+m3", 165, 50
ESPEAK_RATE, RATE = 22_050, 16_000
WAV_HEADER_BYTES = 44  # espeak-ng's streamed header has a bogus length
PAUSE_S, LEVEL, ROOM_NOISE = 0.5, 0.6, 1e-3


def say(text: str) -> np.ndarray:
    """One sentence as float32 in [-1, 1] at 16 kHz."""
    command = ["espeak-ng", "-v", VOICE, "-s", str(WORDS_PER_MINUTE), "-p", str(PITCH), "--stdout", text]
    wav = subprocess.run(command, capture_output=True, check=True).stdout
    samples = np.frombuffer(wav[WAV_HEADER_BYTES:], dtype="<i2").astype(np.float64) / 32768
    return np.asarray(resample_poly(samples, RATE, ESPEAK_RATE))


def main() -> None:
    """Write consult.flac beside consult.txt."""
    pause = np.zeros(int(PAUSE_S * RATE))
    parts = [pause]
    for line in (SAMPLE / "consult.txt").read_text(encoding="utf-8").splitlines():
        parts += [say(line.split("|")[-1].strip()), pause]
    audio = np.concatenate(parts)
    audio = audio / np.abs(audio).max() * LEVEL + np.random.default_rng(0).standard_normal(len(audio)) * ROOM_NOISE
    soundfile.write(SAMPLE / "consult.flac", audio, RATE, subtype="PCM_16")
    print(f"{len(audio) / RATE:.1f} s, {(SAMPLE / 'consult.flac').stat().st_size} bytes")


if __name__ == "__main__":
    main()
