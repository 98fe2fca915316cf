"""The core's half: which frames and labels are asked for, what comes of the scores, and what a failure is called."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from appliance.engines.errors import BUSY, REJECTED
from appliance.plugin_api.engine import CallOptions
from appliance.plugin_api.errors import ProntuarioError
from appliance.plugin_api.images import ImageOptions, LabelSet, PatientClaim
from appliance.plugin_api.messages import Loaded
from appliance.plugin_api.testing import check_image_analyser, check_image_reader
from plugins.medical_images.messages import Find, Found, Heat, HeatGrid, LabelScore, ModelFacts
from plugins.medical_images.provider import PictureAnalyser, PictureReader
from tests.fakes.scripted_engine import ScriptedEngine
from tests.plugins.medical_images.picture_files import dicom
from tests.plugins.medical_images.reading_child import in_process

CHEST = LabelSet("radiology", "Tórax", "Chest", "ab" * 32, 2, calibrated=True)
SKIN = LabelSet("dermatology", "Pele", "Skin", "cd" * 32, 2, calibrated=False)
FACTS = ModelFacts(side=8, label_sets=(CHEST, SKIN), by_modality={"XC": "dermatology"})


class ScriptedModel(ScriptedEngine):
    """Scores "bright" with the picture's mean brightness and "dark" with the rest; ``failure`` is raised instead."""

    def __init__(self, failure: ProntuarioError | None = None) -> None:
        super().__init__(self._look)
        self.failure = failure
        self.found: list[Find] = []
        self.heated: list[Heat] = []

    @property
    def loaded(self) -> Loaded:
        return Loaded("tiny-siglip", "ef" * 32, 0, demonstration=False, info=msgspec.to_builtins(FACTS))

    async def _look(self, _number: int, payload: bytes) -> list[bytes]:
        if self.failure is not None:
            raise self.failure
        answer: msgspec.Struct
        fields = msgspec.msgpack.decode(payload)
        if len(fields) == 3:
            self.heated.append(msgspec.msgpack.decode(payload, type=Heat))
            answer = HeatGrid(2, 2, (0.0, 0.3, 0.6, 1.0))
        else:
            asked = msgspec.msgpack.decode(payload, type=Find)
            self.found.append(asked)
            bright = float(np.frombuffer(asked.picture.rgb, np.uint8).mean()) / 255
            answer = Found(
                (
                    LabelScore("bright", "claro", "bright", bright, True),
                    LabelScore("dark", "escuro", "dark", 1 - bright, True),
                )
            )
        return [msgspec.msgpack.encode(answer), b""]


@pytest.fixture(scope="module")
def reader() -> Iterator[Any]:
    engine = in_process()
    yield engine
    engine.close()


def analyser(reader: Any, model: ScriptedModel, *, frames_at_most: int = 16, in_flight: int = 4) -> PictureAnalyser:
    return PictureAnalyser(
        reader, model, folder=Path("pack"), demonstration=False, frames_at_most=frames_at_most, in_flight=in_flight
    )


def study(folder: Path, brightness: list[int], **fields: Any) -> Path:
    frames = np.stack([np.full((6, 9), value, np.uint8) for value in brightness])
    return dicom(folder / "study.dcm", frames, **fields)


async def test_both_abilities_keep_their_contracts(tmp_path: Path, reader: Any) -> None:
    path = study(tmp_path, [10, 200])
    facts = await check_image_reader(PictureReader(reader), path, CallOptions())
    assert facts.frames == 2
    found = await check_image_analyser(analyser(reader, ScriptedModel()), path, CallOptions())
    assert found.facts == facts


async def test_the_highest_score_of_all_frames_is_the_finding(tmp_path: Path, reader: Any) -> None:
    model = ScriptedModel()
    path = study(tmp_path, [100, 250, 30, 90, 80, 70])
    result = await analyser(reader, model).analyse(path, ImageOptions(), CallOptions(user="u", patient="p"))
    assert [(one.label, one.frame) for one in result.findings] == [("bright", 1), ("dark", 2)]
    assert result.findings[0].score == pytest.approx(250 / 255, abs=0.01)
    assert (result.label_set, result.frames) == (CHEST, tuple(range(6)))
    assert (result.model_id, result.model_sha256) == ("tiny-siglip", "ef" * 32)
    assert result.cautions == ()
    assert {call.tenant for call in model.calls} == {"u|p"}


async def test_no_more_than_some_frames_are_with_the_model_at_a_time(tmp_path: Path, reader: Any) -> None:
    model = ScriptedModel()
    await analyser(reader, model, in_flight=3).analyse(study(tmp_path, [9] * 10), ImageOptions(), CallOptions())
    assert model.most_running == 3
    assert len(model.found) == 10


async def test_of_a_long_study_some_frames_are_looked_at_and_it_is_said(tmp_path: Path, reader: Any) -> None:
    model = ScriptedModel()
    path = study(tmp_path, [9] * 100)
    result = await analyser(reader, model, frames_at_most=5).analyse(path, ImageOptions(), CallOptions())
    assert len(result.frames) == len(model.found) == 5
    assert "frames_left_out" in result.cautions
    result = await analyser(reader, model).analyse(path, ImageOptions(frames=(7, 99)), CallOptions())
    assert result.frames == (7, 99)


async def test_the_heat_map_is_of_the_highest_finding_or_of_the_one_asked_for(tmp_path: Path, reader: Any) -> None:
    model = ScriptedModel()
    path = study(tmp_path, [250, 1])
    first = await analyser(reader, model).analyse(path, ImageOptions(), CallOptions())
    other = await analyser(reader, model).analyse(path, ImageOptions(heat_map="dark"), CallOptions())
    assert first.heat_map is not None
    assert other.heat_map is not None
    assert (first.heat_map.label, other.heat_map.label, other.heat_map.frame) == ("dark", "dark", 1)
    assert first.heat_map.png.startswith(b"\x89PNG")
    assert [one.label for one in model.heated] == ["dark", "dark"]


async def test_the_label_set_follows_the_modality_unless_one_is_named(tmp_path: Path, reader: Any) -> None:
    model = ScriptedModel()
    photo = study(tmp_path, [9], Modality="XC", BurnedInAnnotation="NO")
    result = await analyser(reader, model).analyse(photo, ImageOptions(), CallOptions())
    assert (result.label_set.name, result.cautions) == ("dermatology", ("not_calibrated",))
    result = await analyser(reader, model).analyse(photo, ImageOptions(label_set="radiology"), CallOptions())
    assert result.label_set.name == "radiology"
    assert {one.label_set for one in model.found} == {"dermatology", "radiology"}


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (ImageOptions(label_set="none"), "image.label_set"),
        (ImageOptions(heat_map="none"), "image.label"),
        (ImageOptions(frames=(7,)), "image.frame"),
        (ImageOptions(claim=PatientClaim(("2",))), "image.wrong_patient"),
    ],
)
async def test_what_can_not_be_is_refused(tmp_path: Path, reader: Any, options: ImageOptions, code: str) -> None:
    with pytest.raises(ProntuarioError) as caught:
        await analyser(reader, ScriptedModel()).analyse(study(tmp_path, [9], PatientID="1"), options, CallOptions())
    assert caught.value.kind.code == code


@pytest.mark.parametrize(
    ("failure", "code"),
    [
        (BUSY(engine="m", waiting=3), "engine.busy"),
        (REJECTED(engine="m", reason="image.label_set"), "image.label_set"),
        (REJECTED(engine="m", reason="odd"), "engine.rejected"),
    ],
)
async def test_the_models_failures_keep_their_names(
    tmp_path: Path, reader: Any, failure: ProntuarioError, code: str
) -> None:
    model = ScriptedModel(failure)
    with pytest.raises(ProntuarioError) as caught:
        await analyser(reader, model).analyse(study(tmp_path, [9] * 6), ImageOptions(), CallOptions())
    assert caught.value.kind.code == code
    assert model.running == 0


async def test_while_the_model_loads_the_caller_is_told_to_come_back(tmp_path: Path, reader: Any) -> None:
    async def silent(_number: int, _payload: bytes) -> list[bytes]:
        return []

    waiting = PictureAnalyser(
        reader,
        ScriptedEngine(silent, ready=False),
        folder=Path("pack"),
        demonstration=False,
        frames_at_most=1,
        in_flight=1,
    )
    assert waiting.label_sets() == ()
    assert not waiting.model().ready
    with pytest.raises(ProntuarioError, match="unavailable"):
        await waiting.analyse(study(tmp_path, [9]), ImageOptions(), CallOptions())
