"""Speech: seconds of sound heard a second, and how long a person waits, for many people's segments at once.

Ours is the plugin's engine in its child, behind the provider with its voice gate. The peers are ``mlx_whisper.transcribe`` on the same
weights and sounds: one after another, and in as many processes as the machine has cores. Usage: ``bench_stt.py [--users 1,16,64]
[--turns 3]``: each user has ``turns`` segments heard, one after another.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
os.environ.setdefault("PRONTUARIO_TERMINAL_LOG", "error")

import numpy as np
import soundfile

from appliance.daemon.demo.gold import SUFFIX, decode_gold
from appliance.plugin_api.capabilities import SpeechToText, TranscriptionOptions
from appliance.plugin_api.engine import CallOptions
from appliance.telemetry.logs import configure
from bench.demo_rows import peer
from bench.report import Report, say
from tools.demo_models.evaluation.engines import speech_model

SAMPLE = files("appliance.daemon") / "sample"
RATE_HZ = 16_000
AROUND_S = 0.3
AIM_RATIO = 3.0
AIM_USERS = 16
BLOCK_BYTES = 32_000


def segments(count: int) -> list[np.ndarray[Any, np.dtype[np.float32]]]:
    """Sentences of the two sample consults, in turn, with the room around them."""
    found = []
    for name in ("consult", "consult_2"):
        with (SAMPLE / f"{name}.flac").open("rb") as file:
            samples, _ = soundfile.read(file, dtype="float32")
        for line in decode_gold((SAMPLE / f"{name}{SUFFIX}").read_bytes()).transcript:
            begin, end = max(0, int((line.start - AROUND_S) * RATE_HZ)), int((line.end + AROUND_S) * RATE_HZ)
            found.append(samples[begin:end])
    return [found[number % len(found)] for number in range(count)]


@dataclass
class Heard:
    """What a run gave."""

    audio_s: float
    seconds: float
    waits: list[float]
    texts: list[str]

    @property
    def p95_s(self) -> float:
        return sorted(self.waits)[min(len(self.waits) - 1, int(0.95 * len(self.waits)))]


async def _blocks(data: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(data), BLOCK_BYTES):
        yield data[start : start + BLOCK_BYTES]


async def ours(model: SpeechToText, sounds: list[Any], users: int) -> Heard:
    """``users`` at a time; each asks again when it is answered."""
    waits: list[float] = []
    texts = [""] * len(sounds)
    waiting = iter(enumerate(sounds))

    async def user(number: int) -> None:
        for place, sound in waiting:
            began = time.perf_counter()
            pcm = (np.clip(sound, -1, 1) * 32767).astype("<i2").tobytes()
            call = CallOptions(user=f"user{number}", deadline_s=3600.0)
            heard = [one.text async for one in model.transcribe(_blocks(pcm), TranscriptionOptions(), call)]
            waits.append(time.perf_counter() - began)
            texts[place] = " ".join(heard)

    began = time.perf_counter()
    await asyncio.gather(*(user(number) for number in range(users)))
    return Heard(sum(map(len, sounds)) / RATE_HZ, time.perf_counter() - began, waits, texts)


def theirs(sounds: list[Any], processes: int) -> float:
    """Seconds of sound a second of the reference, in this many processes; the loading is not counted."""
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(processes) as pool:
        paths = []
        for number in range(processes):
            paths.append(Path(folder) / f"{number}.npz")
            np.savez(paths[-1], *sounds[number::processes])
        answers = list(pool.map(lambda path: peer("speech", path), paths))
    return float(sum(one["audio_s"] for one in answers) / max(one["seconds"] for one in answers))


async def measure(report: Report, users: list[int], turns: int) -> None:
    """Ours and both peers in one run."""
    cores = os.cpu_count() or 1
    reference = segments(max(8, min(24, max(users) * turns)))
    say("the reference, one after another…")
    alone = await asyncio.to_thread(theirs, reference, 1)
    say(f"the reference in {cores} processes…")
    many = await asyncio.to_thread(theirs, reference, cores)
    async with speech_model() as model:
        await ours(model, segments(2), 1)
        for count in users:
            heard = await ours(model, segments(count * turns), count)
            rate = heard.audio_s / heard.seconds
            aim = (">=", AIM_RATIO) if count == AIM_USERS else None
            report.row(f"sound heard a second, {count} users", rate, "s/s",
                       peer="mlx_whisper.transcribe, one after another", peer_value=alone, aim=aim, on="ratio")  # fmt: skip
            report.row(
                f"the same, {count} users", rate, "s/s", peer=f"mlx_whisper in {cores} processes", peer_value=many
            )
            report.row(f"p95 of a segment's wait, {count} users", heard.p95_s, "s")
            report.row(
                f"segments without text, {count} users",
                sum(not text for text in heard.texts),
                "segments",
                aim=("==", 0),
            )


def main() -> None:
    """Parse, run, print the JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", default="1,16,64")
    parser.add_argument("--turns", type=int, default=3)
    asked = parser.parse_args()
    configure(level="error", file=None)
    report = Report("stt")
    asyncio.run(measure(report, [int(count) for count in asked.users.split(",")], asked.turns))
    report.print()


if __name__ == "__main__":
    main()
