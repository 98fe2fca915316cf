"""Texts and notes read aloud over the real API, with espeak-ng itself; every format is decoded again, by ffmpeg.

libsndfile refuses a FLAC stream whose header leaves the length open, as that of a live stream must.
"""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import openai
import psutil
import pytest

from appliance.api import openai_compat
from appliance.care.audio import BYTES_PER_SECOND, decode
from appliance.care.audio_decoders import FfmpegDecoder
from appliance.plugin_api.capabilities import VOICE_RATE_HZ
from appliance.plugin_host.choice import Choice
from appliance.plugin_host.errors import CAPABILITY_UNAVAILABLE
from plugins.speech_out.config import VoiceConfig
from plugins.speech_out.programs import EspeakProgram
from plugins.speech_out.provider import Voice
from tests.api.care_harness import Clinic, clinic_at
from tests.api.harness import api_under_test

pytestmark = pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="espeak-ng is not installed")
TEXT = "Losartana 50 mg VO 12/12h."
LONG = "Paciente com dor torácica em repouso. " * 100


class Voices:
    """Abilities with one voice, or none."""

    def __init__(self, voice: Voice | None = None, *, degraded: bool = False) -> None:
        self.voice, self.degraded = voice, degraded

    def text_to_speech(self, request: Any = None) -> Choice[Any]:
        if self.voice is None:
            raise CAPABILITY_UNAVAILABLE(capability="text_to_speech")
        return Choice(self.voice, "speech_out", "voice", self.degraded)

    def models(self) -> list[Any]:
        return [] if self.voice is None else [self.voice.model()]


def espeak() -> Voice:
    return Voice([EspeakProgram()], VoiceConfig())


@asynccontextmanager
async def door(folder: Path, abilities: Any, role: str = "physician") -> AsyncIterator[httpx.AsyncClient]:
    renderers = {openai_compat.OPENAI_PREFIX: openai_compat.render_openai_error}
    async with api_under_test(folder, openai_compat.routes(abilities), renderers=renderers) as api:
        phone = await api.phone(role)
        async with api.client(phone, headers={"Authorization": f"Bearer {phone.token}"}) as client:
            yield client


async def seconds_of(sound: bytes, folder: Path, suffix: str) -> float:
    source = folder / f"said.{suffix}"
    source.write_bytes(sound)
    return (
        sum([len(block) async for block in decode(source, max_hours=1, decoders=[FfmpegDecoder()])]) / BYTES_PER_SECOND
    )


async def test_every_format_holds_the_same_speech(tmp_path: Path) -> None:
    async with door(tmp_path, Voices(espeak())) as client:
        raw = await client.post("/v1/audio/speech", json={"input": TEXT, "response_format": "pcm"})
        assert raw.status_code == 200, raw.text
        length_s = len(raw.content) / 2 / VOICE_RATE_HZ
        assert 2.0 < length_s < 10.0
        assert np.abs(np.frombuffer(raw.content, "<i2").astype(int)).max() > 1000
        for name, kind in (("wav", "audio/wav"), ("flac", "audio/flac"), ("opus", "audio/ogg")):
            reply = await client.post("/v1/audio/speech", json={"input": TEXT, "response_format": name})
            assert reply.headers["content-type"].startswith(kind)
            assert reply.headers["x-voice"] == "espeak-ng"
            assert await seconds_of(reply.content, tmp_path, name) == pytest.approx(length_s, abs=0.1)


async def test_the_official_client_streams_it_to_a_file(tmp_path: Path) -> None:
    async with door(tmp_path, Voices(espeak())) as http:
        base = str(http.base_url).rstrip("/") + "/v1"
        client = openai.AsyncOpenAI(api_key="unused", base_url=base, http_client=http, max_retries=0)
        client.api_key = http.headers["Authorization"].removeprefix("Bearer ")
        asked: Any = {"model": "tts-1", "voice": "alloy", "input": TEXT, "response_format": "wav"}
        async with client.audio.speech.with_streaming_response.create(**asked) as reply:
            await reply.stream_to_file(tmp_path / "out.wav")
    assert await seconds_of((tmp_path / "out.wav").read_bytes(), tmp_path, "wav") > 2.0


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"response_format": "mp3"}, "response_format"),
    ({"response_format": "aac"}, "response_format"),
    ({"voice": "alguém"}, "voice"),
    ({"model": "whisper-9"}, "model"),
    ({"speed": 4.0}, "speed"),
    ({"input": ""}, "input"),
    ({"input": "..."}, "input"),
    ({"input": "x" * 5000}, "input"),
]


async def test_what_can_not_be_done_is_refused_in_openais_shape(tmp_path: Path) -> None:
    async with door(tmp_path, Voices(espeak())) as client:
        for wrong, param in WRONG:
            reply = await client.post("/v1/audio/speech", json={"input": TEXT} | wrong)
            assert 400 <= reply.status_code < 500, reply.text
            error = reply.json()["error"]
            assert (error["type"], error["param"].lstrip("$.")) == ("invalid_request_error", param)
            assert "flac" in error["message"] or param != "response_format"


async def test_without_a_voice_it_says_so(tmp_path: Path) -> None:
    async with door(tmp_path, Voices()) as client:
        reply = await client.post("/v1/audio/speech", json={"input": TEXT})
    assert (reply.status_code, reply.json()["error"]["code"]) == (503, "capability.unavailable")


async def test_a_second_choice_is_told(tmp_path: Path) -> None:
    async with door(tmp_path, Voices(espeak(), degraded=True)) as client:
        reply = await client.post("/v1/audio/speech", json={"input": TEXT})
    assert reply.headers["x-degraded"] == "true"


async def test_an_auditor_may_not_use_the_voice(tmp_path: Path) -> None:
    async with door(tmp_path, Voices(espeak()), "auditor") as client:
        assert (await client.post("/v1/audio/speech", json={"input": TEXT})).status_code == 403


@pytest.mark.parametrize("name", ["pcm", "flac"])
async def test_a_client_that_goes_away_ends_the_voice(tmp_path: Path, name: str) -> None:
    async with door(tmp_path, Voices(espeak())) as client:
        asked = {"input": LONG, "response_format": name}
        async with client.stream("POST", "/v1/audio/speech", json=asked) as reply:
            await anext(reply.aiter_raw())
            speaking = [one for one in psutil.Process().children() if one.name() == "espeak-ng"]
        reply_again = await client.post("/v1/audio/speech", json={"input": TEXT})
        assert reply_again.status_code == 200
        assert psutil.wait_procs(speaking, timeout=60)[1] == []


# -- the note ------------------------------------------------------------------------------------------------------------
@pytest.fixture
async def clinic(tmp_path: Path) -> AsyncIterator[Clinic]:
    async with clinic_at(tmp_path) as made:
        made.abilities.text_to_speech = Voices(espeak()).text_to_speech  # type: ignore[attr-defined]
        yield made


async def test_a_note_is_read_back_as_it_stands(clinic: Clinic) -> None:
    auditor = await clinic.api.phone("auditor")
    async with clinic.client() as client, clinic.client(auditor) as powerless:
        note = await clinic.drafted(client)
        path = f"/api/notes/{note}/speech"
        reply = await client.get(path, params={"format": "pcm"})
        assert (reply.status_code, reply.headers["etag"]) == (200, '"1"')
        fast = await client.get(path, params={"format": "pcm", "speed": "2"})
        assert len(fast.content) < 0.8 * len(reply.content)
        for query in ({"format": "mp3"}, {"speed": "9"}, {"speed": "x"}, {"voice": "alguém"}):
            refused = await client.get(path, params=query)
            assert (refused.status_code, refused.json()["code"]) == (422, "invalid"), query
        assert (await client.get("/api/notes/unknown/speech")).status_code == 404
        assert (await powerless.get(path)).status_code == 403
    events = await clinic.consults.store.read(
        lambda q: [dict(row) for row in q.all("SELECT * FROM audit_event ORDER BY rowid")]
    )
    heard = [event for event in events if "/speech" in str(event)]
    assert len(heard) >= 2, [str(event)[:200] for event in events]
    assert any(clinic.patient in str(event) for event in heard)
