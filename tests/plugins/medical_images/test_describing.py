"""The describer's half in the core: which pixels and questions go to the model, what comes back, and what a failure is called."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from appliance.engines.errors import BUSY, REJECTED
from appliance.plugin_api.capabilities import ImageDescriber
from appliance.plugin_api.engine import CallOptions
from appliance.plugin_api.errors import ProntuarioError
from appliance.plugin_api.images import ImageOptions, PicturePart, PictureTurn
from appliance.plugin_api.messages import Loaded
from plugins.medical_images.describing import WORDS_MOST, PictureDescriber
from plugins.medical_images.messages import Converse, DescriberFacts, Said
from plugins.medical_images.provider import PictureAnalyser
from tests.fakes.scripted_engine import ScriptedEngine
from tests.plugins.medical_images.picture_files import dicom
from tests.plugins.medical_images.reading_child import in_process
from tests.plugins.medical_images.test_provider import ScriptedModel

SIDE = 6


class ScriptedWords(ScriptedEngine):
    """Tells how bright the pictures are; ``failure`` is raised instead."""

    def __init__(self, failure: ProntuarioError | None = None, *, ready: bool = True) -> None:
        super().__init__(self._say, ready=ready)
        self.failure = failure
        self.asked: list[Converse] = []

    @property
    def loaded(self) -> Loaded | None:
        facts = msgspec.to_builtins(DescriberFacts(SIDE, 2, 512))
        return Loaded("tiny-gemma", "ab" * 32, 0, demonstration=False, info=facts) if self._ready else None

    async def _say(self, _number: int, payload: bytes) -> list[bytes]:
        if self.failure is not None:
            raise self.failure
        asked = msgspec.msgpack.decode(payload, type=Converse)
        self.asked.append(asked)
        light = " e ".join(str(round(float(np.frombuffer(one.rgb, np.uint8).mean()))) for one in asked.pictures)
        said = [Said("claro: "), Said(light), Said("", "stop", 40, 2)]
        return [*map(msgspec.msgpack.encode, said), b""]


@pytest.fixture(scope="module")
def reader() -> Iterator[Any]:
    engine = in_process()
    yield engine
    engine.close()


@pytest.fixture
def study(tmp_path: Path) -> Path:
    frames = np.stack([np.full((6, 9), value, np.uint8) for value in (30, 250, 90)])
    return dicom(tmp_path / "study.dcm", frames)


def describer(reader: Any, words: ScriptedWords | None) -> PictureDescriber:
    return PictureDescriber(reader, words, folder=Path("pack"))


def user(*parts: str | PicturePart) -> list[PictureTurn]:
    return [PictureTurn("user", parts)]


async def test_frames_reach_the_model_as_squares_in_the_order_of_the_conversation(study: Path, reader: Any) -> None:
    words = ScriptedWords()
    turns = user(PicturePart(study, 1), "e", PicturePart(study), "agora?")
    said = [one async for one in describer(reader, words).chat(turns, 7, CallOptions(user="u", patient="p"))]
    assert "".join(one.text for one in said) == "claro: 250 e 30"
    assert (said[-1].finish_reason, said[-1].prompt_tokens, said[-1].completion_tokens) == ("stop", 40, 2)
    (asked,) = words.asked
    assert (asked.turns[0].role, asked.turns[0].parts, asked.max_tokens) == ("user", (0, "e", 1, "agora?"), 7)
    assert [(one.width, one.height) for one in asked.pictures] == [(SIDE, SIDE)] * 2
    assert {call.tenant for call in words.calls} == {"u|p"}


async def test_an_analysis_has_the_words_about_its_highest_finding_and_whose_they_are(study: Path, reader: Any) -> None:
    words = ScriptedWords()
    analyser = PictureAnalyser(
        reader,
        ScriptedModel(),
        folder=Path("pack"),
        demonstration=False,
        frames_at_most=16,
        in_flight=4,
        describer=describer(reader, words),
    )
    plain = await analyser.analyse(study, ImageOptions(), CallOptions())
    assert (plain.description, plain.described_by, words.asked) == ("", "", [])
    told = await analyser.analyse(study, ImageOptions(description=True), CallOptions())
    assert (told.findings[0].label, told.findings[0].frame) == ("bright", 1)
    assert told.description == "claro: 250"  # of that frame
    assert told.described_by == f"tiny-gemma {'ab' * 32}"
    english = await analyser.analyse(study, ImageOptions(description=True, language="en"), CallOptions())
    assert english.description == told.description
    questions = [one.turns[0].parts[1] for one in words.asked]
    assert "Não dê diagnóstico" in str(questions[0])
    assert "Do not give a diagnosis" in str(questions[1])
    assert {one.max_tokens for one in words.asked} == {WORDS_MOST}


async def test_without_a_describer_there_are_no_words_and_nobody_pretends(study: Path, reader: Any) -> None:
    nobody = describer(reader, None)
    assert isinstance(nobody, ImageDescriber)
    assert await nobody.describe(study, 0, "pt", CallOptions()) == ""
    model = nobody.model()
    assert (model.capability, model.ready, model.installed) == ("image_describer", False, False)
    for loading in (nobody, describer(reader, ScriptedWords(ready=False))):
        with pytest.raises(ProntuarioError) as caught:
            [one async for one in loading.chat(user(PicturePart(study)), 3, CallOptions())]
        assert caught.value.kind.status == 503
    assert describer(reader, ScriptedWords()).model().ready


@pytest.mark.parametrize(
    ("failure", "code"),
    [
        (REJECTED(engine="image_describer", reason="image.conversation"), "image.conversation"),
        (REJECTED(engine="image_describer", reason="image.conversation_too_long"), "image.conversation_too_long"),
        (REJECTED(engine="image_describer", reason="invalid"), "engine.rejected"),
        (BUSY(engine="image_describer", waiting=9), "engine.busy"),
    ],
)
async def test_a_failure_has_its_own_name(study: Path, reader: Any, failure: ProntuarioError, code: str) -> None:
    with pytest.raises(ProntuarioError) as caught:
        [
            one
            async for one in describer(reader, ScriptedWords(failure)).chat(user(PicturePart(study)), 3, CallOptions())
        ]
    assert caught.value.kind.code == code
    assert caught.value.kind.status < 500


async def test_a_picture_that_can_not_be_read_never_reaches_the_model(tmp_path: Path, reader: Any) -> None:
    words, path = ScriptedWords(), tmp_path / "torn.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(30))
    with pytest.raises(ProntuarioError) as caught:
        [one async for one in describer(reader, words).chat(user(PicturePart(path)), 3, CallOptions())]
    assert caught.value.kind.code == "image.damaged"
    assert words.payloads == []
