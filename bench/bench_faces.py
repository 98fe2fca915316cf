"""Faces verified a second: find, align and embed one face in one picture, through the engine in its child, for many people at once.

The peer is onnxruntime alone: the very same network calls of one verification, with their recorded inputs and nothing around them (no
picture is decoded, no pyramid made, nothing sent between processes), one after another with as many threads. Ours and the peer take
turns, for other work on the machine must not fall on one of them only.

The embedder is Inception-ResNet-v1 at full size with seeded weights (speed does not depend on them). With ``make parity-faces`` done
before, detection is MTCNN with its published weights on a photograph; without, small networks that find drawn heads stand in, and
the rows say so.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
os.environ.setdefault("PRONTUARIO_TERMINAL_LOG", "error")

import msgspec
import numpy as np
from PIL import Image

from appliance.engines.ledger import MemoryLedger
from appliance.engines.supervisor import EngineSupervisor
from appliance.plugin_api.engine import CallOptions, EngineSpec
from appliance.telemetry.logs import configure
from bench.report import Report, say
from plugins.facenet_auth.engine_detector import Mtcnn, Network
from plugins.facenet_auth.engine_examination import examine
from plugins.facenet_auth.engine_model import DETECTOR, ONNX, OnnxEmbedder, session
from plugins.facenet_auth.engine_pictures import picture
from plugins.facenet_auth.messages import EXAMINE, Examine, Examined, Frame, Limits
from tests.fakes.marked_faces import Head, draw, jpeg, write_pack
from tests.plugins.facenet_auth import reference
from tools.face_models import onnx_format
from tools.face_models.state_dict import read

PUBLISHED = Path(".run/parity-faces")
AIM_RATIO = 0.9
WIDTH, HEIGHT = 960, 720
Call = tuple[Any, dict[str, Any]]


def make_pack(folder: Path) -> tuple[Frame, str]:
    """The pack in ``folder``; a camera's picture, and what finds the face in it."""
    write_pack(folder)
    (folder / ONNX).write_bytes(onnx_format.embedder(reference.embedder_arrays()))
    data = PUBLISHED / "facenet_pytorch" / "data"
    if not data.is_dir():
        head = Head(x=WIDTH / 2, y=HEIGHT / 2, eyes=150.0)
        return Frame(jpeg(draw(head, width=WIDTH, height=HEIGHT))), "drawn heads"
    for name, make in onnx_format.DETECTOR.items():
        (folder / f"{name}.onnx").write_bytes(make(read(data / f"{name}.pt")))
    photo = Image.open(PUBLISHED / "skimage" / "data" / "astronaut.png").convert("RGB").crop((60, 0, 380, 240))
    return Frame(jpeg(np.asarray(photo.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC)))), "MTCNN"


def direct(folder: Path, frame: Frame, threads: int) -> tuple[Callable[[], None], Callable[[], None]]:
    """(one verification without an engine, its network calls alone)."""
    calls: list[Call] = []
    sessions = {name: session(folder / name, threads) for name in (*DETECTOR, ONNX)}

    def network(name: str, record: list[Call] | None) -> Network:
        outputs = ["shifts", "landmarks", "odds"] if name == DETECTOR[-1] else ["shifts", "odds"]

        def run(pictures: Any) -> Any:
            if record is not None:
                record.append((sessions[name], {"picture": pictures}))
            return sessions[name].run(outputs, {"picture": pictures})

        return run

    class Recorded(OnnxEmbedder):
        def embed(self, faces: Any) -> Any:
            calls.append((sessions[ONNX], {"face": faces}))
            return super().embed(faces)

    recording = Mtcnn(*(network(name, calls) for name in DETECTOR))
    plain, embedder = Mtcnn(*(network(name, None) for name in DETECTOR)), OnnxEmbedder(sessions[ONNX])
    (answer,) = examine([(picture(frame), Limits())], recording, Recorded(sessions[ONNX]))
    assert answer.embedding, answer

    def whole() -> None:
        examine([(picture(frame), Limits())], plain, embedder)

    def networks() -> None:
        for one, inputs in calls:
            one.run(None, inputs)

    say(f"one verification calls onnxruntime {len(calls)} times")
    return whole, networks


def rate(what: Callable[[], None], count: int) -> float:
    """Calls a second, one after another."""
    began = time.perf_counter()
    for _ in range(count):
        what()
    return count / (time.perf_counter() - began)


async def through(engine: EngineSupervisor, frame: Frame, users: int, count: int) -> tuple[float, list[float]]:
    """Verifications a second, and each one's wait, with so many people at a time."""
    payload, waits, left = msgspec.msgpack.encode(Examine((frame,))), [], iter(range(count))

    async def user(name: str) -> None:
        for _ in left:
            began = time.perf_counter()
            async for answer in engine.submit(EXAMINE, payload, CallOptions(user=name, deadline_s=600.0)):
                assert msgspec.msgpack.decode(answer, type=Examined).frames[0].embedding
            waits.append(time.perf_counter() - began)

    began = time.perf_counter()
    await asyncio.gather(*(user(f"user{number}") for number in range(users)))
    return count / (time.perf_counter() - began), waits


async def measure(report: Report, users: int, count: int, rounds: int) -> None:
    """Ours and both peers, in turns."""
    threads = os.cpu_count() or 1
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "pack"
        frame, finder = make_pack(folder)
        whole, networks = direct(folder, frame, threads)
        spec = EngineSpec(
            "faces", "plugins.facenet_auth.engine:FaceEngine", {"folder": str(folder), "threads": threads},
            footprint_bytes=4 << 30, max_running=users, queue_limit=4 * users, stall_limit_s=600.0,
            environment={"OPENBLAS_NUM_THREADS": "1"},
        )  # fmt: skip
        engine = EngineSupervisor(spec, MemoryLedger(64 << 30))
        await engine.start()
        try:
            if not await engine.wait_ready(300.0):
                raise SystemExit("the engine did not start: " + " | ".join(engine.last_lines()))
            await through(engine, frame, users, users)
            await take_turns(report, Setup(engine, frame, whole, networks, finder, users, count, rounds))
        finally:
            await engine.stop()


@dataclass(frozen=True)
class Setup:
    """What takes turns, and how often."""

    engine: EngineSupervisor
    frame: Frame
    whole: Callable[[], None]
    networks: Callable[[], None]
    finder: str
    users: int
    count: int
    rounds: int


async def take_turns(report: Report, setup: Setup) -> None:
    """Rounds of each in turn; the medians stand in the report."""
    engine, frame, users, count = setup.engine, setup.frame, setup.users, setup.count
    ours: dict[int, list[float]] = {1: [], users: []}
    alone: list[float] = []
    bare: list[float] = []
    waits: list[float] = []
    for number in range(setup.rounds):
        say(f"round {number + 1} of {setup.rounds}")
        alone.append(await asyncio.to_thread(rate, setup.networks, count))
        for people, seen in ours.items():
            found, waited = await through(engine, frame, people, count)
            seen.append(found)
            waits += waited if people == users else []
        bare.append(await asyncio.to_thread(rate, setup.whole, count))
    peer = statistics.median(alone)
    for people, seen in ours.items():
        aim = (">=", AIM_RATIO) if people == users else None
        report.row(f"verifications a second, {people} users ({setup.finder})", statistics.median(seen), "1/s",
                   peer="onnxruntime alone", peer_value=peer, aim=aim, on="ratio")  # fmt: skip
    report.row(f"the same work without an engine ({setup.finder})", statistics.median(bare), "1/s",
               peer="onnxruntime alone", peer_value=peer)  # fmt: skip
    report.row(f"p95 of the wait, {users} users", statistics.quantiles(waits, n=20)[-1], "s")


def main() -> None:
    """Parse, run, print the JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=16)
    parser.add_argument("--count", type=int, default=48, help="verifications of one round")
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    configure(level="error", file=None)
    report = Report("faces")
    asyncio.run(measure(report, asked.users, asked.count, asked.rounds))
    report.print()


if __name__ == "__main__":
    main()
