"""Pictures a second through the image model's child, against the same model called directly in a process of its own.

A random SigLIP in MedSigLIP's format, but smaller (224 pixels, 256 patches, 6 layers): its answers mean nothing, its arithmetic is
the real one. The peer has the same weights, precision and BLAS, and does what has to be done for a score: pixels, both halves of the
vision tower, margins; with the batch that suits the number of users best. Memory is that of both children, reader and model, while a
study goes from its DICOM file to findings and a heat map. Usage: ``bench_images.py [--rounds 5] [--frames 500]``.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import msgspec
import numpy as np
import psutil

from appliance.engines.ledger import MemoryLedger
from appliance.engines.supervisor import EngineSupervisor
from appliance.plugin_api.engine import CallOptions, EngineSpec
from appliance.plugin_api.hooks import PluginContext
from appliance.plugin_api.images import ImageOptions
from appliance.telemetry.logs import configure
from bench.report import Report, say
from plugins.medical_images.config import ImagesConfig
from plugins.medical_images.labels import BUILT_IN
from plugins.medical_images.messages import FIND, Find, Picture
from plugins.medical_images.model_spec import image_model_spec
from plugins.medical_images.plugin import plugin
from tests.plugins.medical_images.picture_files import dicom

ROOT = Path(__file__).resolve().parent.parent
SIDE, PATCH, WIDTH, HEADS, LAYERS = 224, 14, 384, 6, 6
BATCH = 16
USERS = (1, 16)
PICTURES = {1: 12, 16: 64}
IN_FLIGHT = 8
"""Frames of one study that the model has at a time, as the plugin's configuration says."""
SHORT_STUDY = 100
STUDY_SIDE = 512
SAMPLE_S = 0.05
AIM_RATIO = 0.95
AIM_MEMORY = 1.1
LOAD_S = 300.0


def make_model(folder: Path) -> Path:
    """Random weights with the names and shapes of a checkpoint."""
    import mlx.core as mx
    from mlx.utils import tree_flatten

    from plugins.medical_images.engine_siglip import Siglip
    from plugins.medical_images.shape import read_shape

    tower = {"hidden_size": WIDTH, "intermediate_size": 4 * WIDTH, "num_hidden_layers": LAYERS}
    tower["num_attention_heads"] = HEADS
    config = {
        "model_type": "siglip",
        "vision_config": tower | {"image_size": SIDE, "patch_size": PATCH},
        "text_config": tower | {"vocab_size": 200, "projection_size": WIDTH},
    }
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config))
    shutil.copyfile(ROOT / "tests" / "checkpoints" / "siglip.spiece", folder / "spiece.model")
    mx.random.seed(0)
    weights = dict(tree_flatten(Siglip(read_shape(folder)).parameters()))
    patches = "vision_model.embeddings.patch_embedding.weight"
    weights[patches] = weights[patches].reshape(WIDTH, PATCH, PATCH, 3).transpose(0, 3, 1, 2)
    mx.save_safetensors(str(folder / "model.safetensors"), weights)
    return folder


def pictures(count: int) -> list[Picture]:
    """Noise: what is on them changes nothing in the arithmetic."""
    chance = np.random.default_rng(1)
    return [
        Picture(number, SIDE, SIDE, chance.integers(0, 256, (SIDE, SIDE, 3), np.uint8).tobytes())
        for number in range(count)
    ]


# -- the peer -----------------------------------------------------------------------------------------------------------
def direct(folder: Path) -> None:
    """Reads ``[count, batch]`` a line; answers with the seconds. Runs with the child's own environment."""
    import mlx.core as mx
    from PIL import Image

    from plugins.medical_images.engine_model import load_image_model
    from plugins.medical_images.engine_questions import Directions
    from plugins.medical_images.labels import read_label_sets

    model = load_image_model(folder, "auto")
    directions, questions = Directions(model), read_label_sets([BUILT_IN]).sets[0]
    while not directions.ready(questions):
        directions.advance(questions)
    drawn = pictures(max(PICTURES.values()))
    for line in sys.stdin:
        count, batch = json.loads(line)
        began = time.perf_counter()
        for start in range(0, count, batch):
            images = [Image.frombytes("RGB", (SIDE, SIDE), one.rgb) for one in drawn[start : min(count, start + batch)]]
            pixels = mx.array(np.stack([model.preparation.pixels(one) for one in images]))
            directions.margins(questions, np.array(model.net.pooled(model.net.patches(pixels))))
        print(time.perf_counter() - began, flush=True)


class Peer:
    """The direct calls, in a process with the same environment as the child."""

    def __init__(self, spec: EngineSpec) -> None:
        argv = [sys.executable, __file__, "--peer", str(spec.config["folder"])]
        environment = os.environ | dict(spec.environment)
        self._process = subprocess.Popen(
            argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )

    def rate(self, count: int, batch: int) -> float:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"[{count}, {batch}]\n")
        self._process.stdin.flush()
        return count / float(self._process.stdout.readline())

    def end(self) -> None:
        self._process.kill()
        self._process.communicate()


# -- ours ---------------------------------------------------------------------------------------------------------------
@dataclass
class Seen:
    """What a run gave."""

    rate: float = 0.0
    waits: list[float] = field(default_factory=list)


async def ours(engine: EngineSupervisor, asked: list[bytes], users: int) -> Seen:
    """``users`` at a time; each sends the next picture when the last one is answered."""
    seen = Seen()
    left = iter(asked)

    async def user(number: int) -> None:
        call = CallOptions(user=f"user{number}", deadline_s=3600.0)
        for payload in left:
            before = time.perf_counter()
            async for _ in engine.submit(FIND, payload, call):
                pass
            seen.waits.append(time.perf_counter() - before)

    began = time.perf_counter()
    await asyncio.gather(*(user(number) for number in range(users)))
    seen.rate = len(asked) / (time.perf_counter() - began)
    return seen


@contextlib.asynccontextmanager
async def running(spec: EngineSpec) -> AsyncIterator[EngineSupervisor]:
    engine = EngineSupervisor(spec, MemoryLedger(64 << 30))
    await engine.start()
    try:
        if not await engine.wait_ready(LOAD_S):
            raise SystemExit(f"the model did not load: {engine.last_death}")
        yield engine
    finally:
        await engine.stop(drain_s=1.0)


def p95(waits: list[float]) -> float:
    return sorted(waits)[min(len(waits) - 1, int(0.95 * len(waits)))]


async def rates(report: Report, engine: EngineSupervisor, peer: Peer, rounds: int) -> None:
    """Ours and the peer in turns; the median of the rounds' ratios decides, for the machine is not ours alone."""
    payloads = [msgspec.msgpack.encode(Find(one, "radiology")) for one in pictures(max(PICTURES.values()))]
    for users in USERS:
        count, batch = PICTURES[users], 1 if users == 1 else BATCH
        mine: list[float] = []
        theirs: list[float] = []
        waits: list[float] = []
        for number in range(rounds):
            say(f"{users} users, round {number + 1} of {rounds}…")
            theirs.append(await asyncio.to_thread(peer.rate, count, batch))
            seen = await ours(engine, payloads[:count], users)
            mine.append(seen.rate)
            waits += seen.waits
        middle = sorted(range(rounds), key=lambda at: mine[at] / theirs[at])[rounds // 2]
        report.row(f"pictures/s, {users} users", mine[middle], "1/s", peer=f"the model called directly, {batch} at a time",
                   peer_value=theirs[middle], aim=(">=", AIM_RATIO), on="ratio")  # fmt: skip
        alone = batch / statistics.median(theirs)
        report.row(
            f"p95 of a picture's wait, {users} users", p95(waits), "s", peer="a batch called directly", peer_value=alone
        )


def study(file: Path, frames: int) -> Path:
    """A DICOM of noise, one byte a pixel."""
    chance = np.random.default_rng(2)
    return dicom(file, chance.integers(0, 256, (frames, STUDY_SIDE, STUDY_SIDE), np.uint8))


async def peak_bytes(pids: list[int]) -> int:
    """Of these processes and their children together, until it is cancelled."""
    highest = 0
    while True:
        held = 0
        for pid in pids:
            with contextlib.suppress(psutil.Error):  # a decoder's worker may have just ended
                held += sum(one.memory_info().rss for one in family(pid))
        highest = max(highest, held)
        try:
            await asyncio.sleep(SAMPLE_S)
        except asyncio.CancelledError:
            return highest


def family(pid: int) -> list[psutil.Process]:
    parent = psutil.Process(pid)
    return [parent, *parent.children(recursive=True)]


async def memory(report: Report, model: Path, scratch: Path, frames: int) -> None:
    """A long study against a short one, from the file to the findings, in fresh children each: it must not grow with the frames."""
    config = ImagesConfig(model=str(model), frames_at_most=frames, batch_size=BATCH, in_flight=IN_FLIGHT)
    context = PluginContext("medical_images", config, scratch / "data", scratch / "models")
    specs = plugin.register_engines(context)
    peaks, sizes = [], []
    for count in (SHORT_STUDY, frames):
        say(f"a study of {count} frames…")
        file = study(scratch / f"{count}.dcm", count)
        async with contextlib.AsyncExitStack() as stack:
            engines = {spec.name: await stack.enter_async_context(running(spec)) for spec in specs}
            providers = plugin.register_providers(context, engines)
            (analyser,) = [one.instance for one in providers if one.capability == "image_analyser"]
            watch = asyncio.create_task(peak_bytes([engine.pid for engine in engines.values()]))
            analysis = await analyser.analyse(file, ImageOptions(), CallOptions(user="bench", deadline_s=3600.0))
            watch.cancel()
            peaks.append(await watch / 2**20)
            assert len(analysis.frames) == count
        sizes.append(file.stat().st_size / 2**20)
        file.unlink()
    report.row(f"peak memory on a study of {frames} frames", peaks[1], "MiB", peer=f"on {SHORT_STUDY} frames",
               peer_value=peaks[0], aim=("<=", AIM_MEMORY), on="ratio")  # fmt: skip
    declared = sum(spec.footprint_bytes for spec in specs) / 2**20
    report.row("the same against what was declared", peaks[1], "MiB", peer="declared footprints", peer_value=declared,
               aim=("<=", 1.0), on="ratio")  # fmt: skip
    report.row("size of that study", sizes[1], "MiB")


async def measure(report: Report, rounds: int, frames: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        model = make_model(scratch / "siglip")
        spec = image_model_spec("image_model", model=model, labels=[BUILT_IN], batch_size=BATCH, precision="auto")
        peer = Peer(spec)
        try:
            async with running(spec) as engine:
                say("the set's sentences, once…")
                await ours(engine, [msgspec.msgpack.encode(Find(pictures(1)[0], "radiology"))], 1)
                await rates(report, engine, peer, rounds)
        finally:
            peer.end()
        await memory(report, model, scratch, frames)


def main() -> None:
    """Parse, run, print the JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--frames", type=int, default=500)
    parser.add_argument("--peer", type=Path, help=argparse.SUPPRESS)
    asked: Any = parser.parse_args()
    if asked.peer is not None:
        direct(asked.peer)
        return
    configure(level="error", file=None)
    report = Report("images")
    asyncio.run(measure(report, asked.rounds, asked.frames))
    report.print()


if __name__ == "__main__":
    main()
