"""The reader's engine and its worker: order, cancelling, and files that cost a worker cost nobody else."""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
import sys
import termios
from array import array
from pathlib import Path

import msgspec
import numpy as np
import psutil
import pytest

from appliance.engines.supervisor import EngineSupervisor
from appliance.plugin_api.engine import CallOptions
from appliance.plugin_api.errors import ProntuarioError
from appliance.plugin_api.messages import Failed, Submit
from plugins.medical_images.messages import READ, HeatGrid, Inspect, ReadFrames
from plugins.medical_images.reader import Reader
from plugins.medical_images.reading.child import ReaderEngine
from plugins.medical_images.reading.drawing import within
from plugins.medical_images.reading.limits import Limits
from plugins.medical_images.reading.workshop import WorkerLostError, Workshop
from tests.plugins.medical_images.picture_files import corner, dicom, photo
from tests.plugins.medical_images.reading_child import as_child, config, in_process

SIDE = 16


def study(folder: Path, frames: int = 500) -> Path:
    values = np.arange(frames) % 256
    pixels = np.broadcast_to(values[:, None, None], (frames, 8, 8)).astype(np.uint8)
    return dicom(folder / "study.dcm", pixels)


async def test_frames_in_the_order_asked_for(tmp_path: Path) -> None:
    engine = in_process()
    try:
        pictures = await Reader(engine).pictures(study(tmp_path), (499, 3, 250), SIDE, 2, CallOptions())
    finally:
        engine.close()
    assert [picture.frame for picture in pictures] == [499, 3, 250]
    assert [len(picture.rgb) for picture in pictures] == [SIDE * SIDE * 3] * 3
    assert [picture.rgb[0] for picture in pictures] == [499 % 256, 3, 250]


async def test_a_heat_map_lies_over_its_frame(tmp_path: Path) -> None:
    engine = in_process()
    path = photo(tmp_path / "a.png", corner(40, 24))
    grid = HeatGrid(2, 2, (1.0, 0.0, 0.0, 0.0))
    try:
        plain = await Reader(engine).png(path, 0, 20, None, CallOptions())
        mapped = await Reader(engine).png(path, 0, 20, grid, CallOptions())
    finally:
        engine.close()
    first, second = (pixels_of(tmp_path, png) for png in (plain, mapped))
    assert first.shape == second.shape == (12, 20, 3)
    assert np.abs(first[-1, -1] - second[-1, -1]).max() < 30  # far from the evidence the picture is as it was
    changed = np.abs(first - second).sum(axis=2)
    assert changed[:4, 8:10].mean() > changed[8:, 16:].mean() + 50


def pixels_of(folder: Path, png: bytes) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    from PIL import Image

    (folder / "shown.png").write_bytes(png)
    return np.asarray(Image.open(folder / "shown.png")).astype(np.int64)


@pytest.mark.parametrize(
    ("size", "side", "expected"),
    [((4000, 2000), 1000, (1000, 500)), ((10, 20), 1000, (10, 20)), ((10_000, 1), 100, (100, 1))],
)
def test_the_size_of_what_is_shown(size: tuple[int, int], side: int, expected: tuple[int, int]) -> None:
    assert within(size, side) == expected


def drive(engine: ReaderEngine) -> dict[int, int]:
    """Answers a request, until nothing is left to do."""
    got: dict[int, int] = {}
    while engine.busy():
        for output in engine.step():
            assert not isinstance(output, Failed)
            got[output.request_id] = got.get(output.request_id, 0) + 1
    return got


def submit(number: int, question: msgspec.Struct, kind: str = READ) -> Submit:
    return Submit(number, kind, msgspec.msgpack.encode(question), 60.0, "interactive", "")


def test_a_cancelled_request_gives_nothing_and_the_next_one_its_own(tmp_path: Path) -> None:
    path = str(study(tmp_path, 20))
    engine = ReaderEngine()
    engine.load(config())
    try:
        engine.submit(submit(1, ReadFrames(path, tuple(range(20)), SIDE)))
        engine.submit(submit(2, ReadFrames(path, (5,), SIDE)))
        engine.submit(submit(3, Inspect(path)))
        assert [output.request_id for output in engine.step()] == [1]
        engine.cancel(1)
        engine.cancel(2)
        engine.cancel(99)
        assert drive(engine) == {3: 2}
        assert engine.stats()["running"] == 0
    finally:
        engine.close()


def test_an_unknown_kind_is_refused() -> None:
    engine = ReaderEngine()
    engine.load(config())
    with pytest.raises(ValueError, match="unknown kind"):
        engine.submit(submit(1, Inspect("x"), "other"))


def test_a_worker_that_dies_costs_one_question(tmp_path: Path) -> None:
    workshop = Workshop(Limits(), memory_bytes=2 << 30, limit_s=60.0)
    question = msgspec.msgpack.encode(ReadFrames(str(study(tmp_path, 30)), tuple(range(30)), SIDE))
    try:
        answers = workshop.ask(question)
        next(answers)
        assert workshop._process is not None
        os.kill(workshop._process.pid, signal.SIGKILL)
        with pytest.raises(WorkerLostError):
            list(answers)
        assert workshop.lost == 1
        assert len(list(workshop.ask(question))) == 30
    finally:
        workshop.close()


def test_a_worker_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    workshop = Workshop(Limits(), memory_bytes=2 << 30, limit_s=0.0)
    with pytest.raises(WorkerLostError):
        list(workshop.ask(msgspec.msgpack.encode(Inspect(str(study(tmp_path, 1))))))
    assert workshop._process is None


async def answered(engine: EngineSupervisor, path: Path) -> None:
    """Ask and hear the whole answer, its end too: then the worker waits for a question, and its engine for nothing of it.

    ``Reader`` goes away with the facts. A worker that is stopped between them and the end keeps its engine waiting for the end,
    and the next question never gets to the pipe.
    """
    question = msgspec.msgpack.encode(Inspect(str(path)))
    pieces = [piece async for piece in engine.submit(READ, question, CallOptions())]
    assert len(pieces) == 2


async def stop(worker: psutil.Process) -> None:
    """Stop it, and wait until it stands still: a signal that is only pending lets a read that began before still end."""
    worker.send_signal(signal.SIGSTOP)
    async with asyncio.timeout(60):
        while worker.status() != psutil.STATUS_STOPPED:  # noqa: ASYNC110  the system has no event for it
            await asyncio.sleep(0.02)


async def asked(stopped: psutil.Process) -> None:
    """Wait until the question lies in the pipe of a worker that is stopped; elsewhere than on Linux, a while."""
    if sys.platform != "linux":
        await asyncio.sleep(3.0)
        return
    lies_there = array("i", [0])
    async with asyncio.timeout(60):
        while not lies_there[0]:
            with Path(f"/proc/{stopped.pid}/fd/0").open("rb", buffering=0) as pipe:
                fcntl.ioctl(pipe, termios.FIONREAD, lies_there)
            await asyncio.sleep(0.02)


async def test_a_file_that_kills_its_decoder_is_refused_and_the_others_are_read(tmp_path: Path) -> None:
    """Through a real child: the pipe of the worker breaks in the middle of a study, and the child lives on."""
    path = study(tmp_path)
    async with as_child(tmp_path) as (reader, engine):
        await answered(engine, path)
        (worker,) = psutil.Process(engine.pid).children()
        await stop(worker)
        waits = asyncio.create_task(reader.inspect(path, None, CallOptions()))
        await asked(worker)
        worker.kill()
        with pytest.raises(ProntuarioError, match=r"image\.damaged"):
            await waits
        assert (await reader.inspect(path, None, CallOptions())).frames == 500
        assert engine.last_death == ""
