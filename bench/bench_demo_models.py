"""The demonstration models through the product's own path: what they hear and write right, where they break, how fast they are.

Everything is held-out data of their own generator: synthetic voices and one grammar. Nothing here says anything about people.
Word error rates go through the voice gate and the engine's batches in a real child; notes through the product's drafting, JSON
schema and guard. ``tools/demo_models/evaluation/judge.py`` says what counts as wrong. Usage: ``bench_demo_models.py
[--sentences 300] [--consults 200] [--hard 40] [--whole 20]``.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
os.environ.setdefault("PRONTUARIO_TERMINAL_LOG", "error")

from appliance.telemetry.logs import configure
from bench import demo_rows
from bench.report import Report, say
from tools.demo_models.evaluation.engines import chat_model, speech_model


async def measure(report: Report, asked: argparse.Namespace) -> None:
    """All groups, one after another."""
    began = time.monotonic()

    def at(stage: str) -> None:
        say(f"{time.monotonic() - began:6.0f} s  {stage}")

    async with speech_model() as speech:
        at("speech")
        await demo_rows.speech_rows(report, speech, asked.sentences)
        async with chat_model() as chat:
            at("notes")
            await demo_rows.note_rows(report, chat, asked.consults)
            at("the hard set")
            await demo_rows.hard_rows(report, chat, asked.hard)
            at("whole consults")
            await demo_rows.whole_rows(report, speech, chat, asked.whole)
    at("done")


def main() -> None:
    """Parse, run, print the JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sentences", type=int, default=300)
    parser.add_argument("--consults", type=int, default=200)
    parser.add_argument("--hard", type=int, default=40, help="consults of each kind")
    parser.add_argument("--whole", type=int, default=20)
    configure(level="error", file=None)
    report = Report("demo-models")
    asyncio.run(measure(report, parser.parse_args()))
    report.print()


if __name__ == "__main__":
    main()
