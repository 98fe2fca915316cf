"""Drives an image engine in this process as the child's loop would."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from PIL import Image

from appliance.plugin_api.engine import Lane
from appliance.plugin_api.messages import Failed, Output, Submit
from plugins.medical_images.engine import ImageEngine
from plugins.medical_images.labels import BUILT_IN
from plugins.medical_images.messages import FIND, HEAT, Find, Found, Heat, HeatGrid, Picture
from tests.checkpoints.siglip import IMAGE_SIZE
from tests.checkpoints.siglip_samples import pictures

SMALL_SET = (
    'version = 1\norder = 0\npt = "Pequeno"\nen = "Small"\n'
    '[[labels]]\nid = "effusion"\npt = "Derrame"\nen = "Effusion"\n'
    'positive = ["pleural effusion", "pleural fluid"]\nnegative = ["normal chest"]\n'
    '[[labels]]\nid = "lesion"\npt = "Lesão"\nen = "Lesion"\npositive = ["skin lesion"]\nnegative = ["normal skin", "skin"]\n'
)


def config(folder: Path, *label_folders: Path, batch_size: int = 4) -> dict[str, Any]:
    return {
        "folder": str(folder),
        "batch_size": batch_size,
        "precision": "auto",
        "label_folders": [str(one) for one in (label_folders or (BUILT_IN,))],
    }


def small_set(folder: Path, more: str = "") -> Path:
    """A folder with the set ``small`` of two labels."""
    folder.mkdir(exist_ok=True)
    (folder / "small.toml").write_text(SMALL_SET + more, encoding="utf-8")
    return folder


def picture(array: np.ndarray[Any, Any], frame: int = 0) -> Picture:
    """What the reader gives of an RGB array: squeezed to the model's square."""
    square = Image.fromarray(array).resize((IMAGE_SIZE, IMAGE_SIZE), Image.Resampling.BILINEAR)
    return Picture(frame, IMAGE_SIZE, IMAGE_SIZE, square.tobytes())


def samples(count: int) -> list[Picture]:
    """So many different pictures."""
    drawn = pictures()
    return [picture(np.roll(drawn[number % 3], number // 3 * 5, axis=1), number) for number in range(count)]


def find(one: Picture, label_set: str = "radiology") -> bytes:
    return msgspec.msgpack.encode(Find(one, label_set))


def heat(one: Picture, label: str, label_set: str = "radiology") -> bytes:
    return msgspec.msgpack.encode(Heat(one, label_set, label))


def submit(engine: ImageEngine, request_id: int, kind: str, payload: bytes, *, urgent: bool = False) -> None:
    lane = Lane.URGENT if urgent else Lane.INTERACTIVE
    engine.submit(Submit(request_id, kind, payload, 60.0, lane, f"user{request_id}|"))


def run(engine: ImageEngine) -> dict[int, bytes | Failed]:
    answers: dict[int, bytes | Failed] = {}
    while engine.busy():
        for one in engine.step():
            assert one.request_id not in answers
            assert isinstance(one, Failed) or one.final
            answers[one.request_id] = one.payload if isinstance(one, Output) else one
    return answers


def found(engine: ImageEngine, *asked: Picture, label_set: str = "radiology") -> list[Found]:
    for request_id, one in enumerate(asked):
        submit(engine, request_id, FIND, find(one, label_set))
    answers = run(engine)
    return [msgspec.msgpack.decode(payload(answers[request_id]), type=Found) for request_id in range(len(asked))]


def warmth(engine: ImageEngine, one: Picture, label: str, label_set: str = "radiology") -> HeatGrid:
    submit(engine, 0, HEAT, heat(one, label, label_set))
    return msgspec.msgpack.decode(payload(run(engine)[0]), type=HeatGrid)


def payload(answer: bytes | Failed) -> bytes:
    assert isinstance(answer, bytes)
    return answer


def scores(one: Found) -> list[float]:
    return [score.score for score in one.scores]
