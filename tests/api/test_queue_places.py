"""Whoever waits for a model is told their place, and whoever finds the queue full is told when to come back: over real HTTP."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from appliance.api import care, openai_compat
from appliance.care.service import Consults
from appliance.config.model import Dictation as Limits
from appliance.engines.supervisor import EngineSupervisor
from appliance.records import repository
from appliance.security.vault import Vault
from appliance.store.blobs import BlobStore
from appliance.store.jobs import JobQueue
from appliance.telemetry.clock import SystemClock
from tests.api.care_harness import LateStore
from tests.api.harness import Phone, api_under_test, eventually
from tests.fakes.echo_models import PATIENCE_S, EchoAbilities, narrow_engine
from tests.fakes.sounds import wav

CHAT = "/v1/chat/completions"
ASK: list[Any] = [{"role": "user", "content": "Tem febre?"}]
FOR_EVER = 4096


@dataclass
class Counter:
    """A node whose one model has one slot."""

    engine: EngineSupervisor
    http: httpx.AsyncClient
    doctor: Phone
    patient: str

    @asynccontextmanager
    async def occupied(self) -> AsyncIterator[None]:
        """Somebody else's long answer has the slot until the block ends."""
        body = {"messages": ASK, "stream": True, "max_tokens": FOR_EVER}
        async with self.http.stream("POST", CHAT, json=body) as answer:
            assert answer.status_code == 200
            lines = answer.aiter_lines()  # kept: httpx ends the answer when its reader is forgotten
            await anext(lines)
            yield

    @asynccontextmanager
    async def full(self) -> AsyncIterator[None]:
        """The slot and the only place in the queue are taken."""
        async with self.occupied():
            waiting = asyncio.create_task(self.http.post(CHAT, json={"messages": ASK, "max_tokens": 1}))
            await eventually(lambda: self.engine.waiting == 1)
            try:
                yield
            finally:
                waiting.cancel()
                await asyncio.gather(waiting, return_exceptions=True)


@asynccontextmanager
async def counter_at(folder: Path, queue_limit: int = 256) -> AsyncIterator[Counter]:
    store, clock = LateStore(), SystemClock()
    async with narrow_engine(queue_limit=queue_limit) as engine:
        abilities = EchoAbilities(engine)
        consults = Consults(
            store=store,
            blobs=BlobStore(folder / "blobs"),
            vault=Vault(bytes(32)),
            abilities=abilities,
            jobs=JobQueue(store, clock),
            clock=clock,
            limits=Limits(),
            spool=folder / "spool",
        )
        served = [*care.routes(consults), *openai_compat.routes(abilities, spool=folder / "uploads", store=store)]
        renderers = {openai_compat.OPENAI_PREFIX: openai_compat.render_openai_error}
        async with api_under_test(folder, served, renderers=renderers) as api:
            store.real = api.store
            person = {"resourceType": "Patient", "name": [{"family": "Silva"}]}
            patient = await api.store.write(lambda tx: repository.create(tx, person, now=consults.now()))
            doctor = await api.phone("physician")
            async with api.client(doctor) as http:
                yield Counter(engine, http, doctor, str(patient["id"]))


async def lines_until(lines: AsyncIterator[str], wanted: str) -> list[str]:
    """Lines that are not empty, up to the first that begins with ``wanted``."""
    found: list[str] = []
    async with asyncio.timeout(PATIENCE_S):
        while not (found and found[-1].startswith(wanted)):
            if line := await anext(lines):
                found.append(line)
    return found


def places(lines: list[str], mark: str) -> list[int]:
    return [json.loads(line.removeprefix(mark))["position"] for line in lines if line.startswith(mark)]


async def test_a_waiting_stream_is_told_its_place_until_its_turn_comes(tmp_path: Path) -> None:
    body = {"messages": ASK, "stream": True, "max_tokens": 2}
    async with counter_at(tmp_path) as counter:
        async with counter.occupied(), counter.http.stream("POST", CHAT, json=body) as waiting:
            assert waiting.status_code == 200
            lines = waiting.aiter_lines()
            before = await lines_until(lines, ": queue")
            behind = counter.http.stream("POST", CHAT, json=body)
            async with behind as last:
                others = last.aiter_lines()
                assert places(await lines_until(others, ": queue"), ": queue ") == [2]
            assert places(before, ": queue ") == [1]
        async with counter.occupied():
            asked = asyncio.create_task(counter.http.post(CHAT, json=body))
            await eventually(lambda: counter.engine.waiting == 1)
            await asyncio.sleep(0.6)  # the dispatcher tells places every half second
        told = [line for line in (await asked).text.splitlines() if line]
    assert places(told, ": queue ")[-1] == 0
    assert set(places(told, ": queue ")) == {0, 1}
    said = [json.loads(line[6:]) for line in told if line.startswith("data: {")]
    assert [chunk["choices"][0]["delta"].get("content") for chunk in said] == ["ah ", "ah ", None]
    assert said[0]["choices"][0]["delta"]["role"] == "assistant"
    assert told[-1] == "data: [DONE]"


async def test_who_does_not_wait_is_told_no_place(tmp_path: Path) -> None:
    async with counter_at(tmp_path) as counter:
        answer = await counter.http.post(CHAT, json={"messages": ASK, "stream": True, "max_tokens": 2})
        assert "queue" not in answer.text
        assert answer.text.endswith("data: [DONE]\n\n")


async def test_the_official_client_does_not_stumble_over_places(tmp_path: Path) -> None:
    async with counter_at(tmp_path) as counter:
        client = openai.AsyncOpenAI(
            api_key=counter.doctor.token,
            base_url=f"{counter.http.base_url}/v1",
            http_client=counter.http,
            max_retries=0,
        )

        async def whole() -> str:
            stream = await client.chat.completions.create(model="default", messages=ASK, stream=True, max_tokens=3)
            return "".join([chunk.choices[0].delta.content or "" async for chunk in stream])

        async with counter.occupied():
            asked = asyncio.create_task(whole())
            await eventually(lambda: counter.engine.waiting == 1)
            await asyncio.sleep(0.6)  # so that at least one place was told
        assert await asked == "ah ah ah "


async def test_leaving_the_queue_frees_the_place(tmp_path: Path) -> None:
    async with counter_at(tmp_path) as counter, counter.occupied():
        body = {"messages": ASK, "stream": True}
        async with counter.http.stream("POST", CHAT, json=body) as waiting:
            lines = waiting.aiter_lines()
            await lines_until(lines, ": queue")
            assert counter.engine.waiting == 1
        await eventually(lambda: counter.engine.waiting == 0)
        assert counter.engine.running == 1


async def test_a_waiting_question_about_a_patient_is_told_its_place(tmp_path: Path) -> None:
    path = "/api/patients/{}/chat"
    body = {"messages": ASK, "stream": True, "max_tokens": 3}
    async with counter_at(tmp_path) as counter:
        async with counter.occupied():
            asked = asyncio.create_task(counter.http.post(path.format(counter.patient), json=body))
            await eventually(lambda: counter.engine.waiting == 1)
            await asyncio.sleep(0.6)  # so that at least one place was told
        events = [frame.split("\n") for frame in (await asked).text.split("\n\n") if frame.startswith("event: ")]
    names = [event.removeprefix("event: ") for event, *_ in events]
    assert names[names.index("reading") :] == ["reading", "claim", "end"]
    waited = [json.loads(data.removeprefix("data: "))["position"] for event, data in events if event == "event: queue"]
    assert waited[0] == 1
    assert waited[-1] == 0


@pytest.mark.parametrize("asked", ["chat", "stream", "patient", "patient stream", "transcription"])
async def test_a_full_queue_says_429_and_when_to_come_back(tmp_path: Path, asked: str) -> None:
    async with counter_at(tmp_path, queue_limit=1) as counter, counter.full():
        body = {"messages": ASK, "stream": asked.endswith("stream")}
        if asked == "transcription":
            answer = await counter.http.post("/v1/audio/transcriptions", files={"file": ("a.wav", wav(0.5))})
        elif asked.startswith("patient"):
            answer = await counter.http.post(f"/api/patients/{counter.patient}/chat", json=body)
        else:
            answer = await counter.http.post(CHAT, json=body)
        assert answer.status_code == 429, answer.text
        assert int(answer.headers["retry-after"]) >= 1
        assert "engine.busy" in answer.text
