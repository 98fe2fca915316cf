"""Time to the first sound: our voice (shorthand written out, one process, 24 kHz) against espeak-ng alone, in turns.

One JSON line last. The API adds its own milliseconds, which ``make bench-api`` measures.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
from asyncio.subprocess import DEVNULL, PIPE
from contextlib import aclosing
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))
from appliance.plugin_api.capabilities import VoiceOptions
from appliance.plugin_api.engine import CallOptions
from bench.report import Report, say
from plugins.speech_out.config import VoiceConfig
from plugins.speech_out.programs import EspeakProgram
from plugins.speech_out.provider import Voice

TEXT = "Paciente com PA 150x90 mmHg e SpO2 94%, em uso de losartana 50 mg VO 12/12h. Retorno em 7 dias."
ROUNDS = 200
AT_ONCE = 8
HEADER_BYTES = 44


async def ours(voice: Voice) -> float:
    began = time.perf_counter()
    async with aclosing(voice.speak(TEXT, VoiceOptions(), CallOptions())) as stream:
        await anext(stream)
        return time.perf_counter() - began


async def alone(program: EspeakProgram) -> float:
    began = time.perf_counter()
    command = program.command("masculina", VoiceConfig().words_per_minute)
    process = await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE, stderr=DEVNULL)
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(TEXT.encode())
    process.stdin.close()
    await process.stdout.readexactly(HEADER_BYTES + 2)
    took = time.perf_counter() - began
    process.kill()
    await process.communicate()
    return took


async def main() -> None:
    program = EspeakProgram()
    reason = program.missing()
    if reason is not None:
        raise SystemExit(f"{reason.message}: {reason.advice}")
    voice, report = Voice([program], VoiceConfig()), Report("speech-out")
    say(f"speech_out: {ROUNDS} rounds in turns, then {AT_ONCE} listeners at once")
    mine, peer = [], []
    for _ in range(ROUNDS):
        peer.append(await alone(program))
        mine.append(await ours(voice))
    middle, beside = statistics.median(mine) * 1000, statistics.median(peer) * 1000
    report.row(
        "first sound, median", middle, "ms", peer="espeak-ng alone", peer_value=beside, aim=("<=", 1.5), on="ratio"
    )
    report.row("first sound, p95", statistics.quantiles(mine, n=20)[-1] * 1000, "ms", aim=("<=", 200.0))
    crowd = [took for _ in range(10) for took in await asyncio.gather(*(ours(voice) for _ in range(AT_ONCE)))]
    report.row(f"first sound, median of {AT_ONCE} at once", statistics.median(crowd) * 1000, "ms", aim=("<=", 200.0))
    report.print()


if __name__ == "__main__":
    asyncio.run(main())
