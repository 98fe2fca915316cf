"""Whoever waits for a model is told their place, and whoever finds the queue full is told when to come back: over real HTTP."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from websockets.asyncio.client import ClientConnection, connect

from appliance.api import care, openai_compat
from appliance.care.service import Consults
from appliance.config.model import Dictation as Limits
from appliance.engines.supervisor import EngineSupervisor
from appliance.records import repository
from appliance.security.vault import Vault
from appliance.store.blobs import BlobStore
from appliance.store.jobs import JobQueue
from appliance.telemetry.clock import SystemClock
from tests.api.care_harness import LateStore, put_chunk, until
from tests.api.harness import ApiUnderTest, Phone, api_under_test, eventually
from tests.fakes.echo_models import PATIENCE_S, EchoAbilities, narrow_engine
from tests.fakes.sounds import wav

CHAT = "/v1/chat/completions"
ASK: list[Any] = [{"role": "user", "content": "Tem febre?"}]
FOR_EVER = 4096


@dataclass
class Counter:
    """A node whose one model has one slot."""

    api: ApiUnderTest
    engine: EngineSupervisor
    http: httpx.AsyncClient
    doctor: Phone
    patient: str

    async def opened(self) -> str:
        """The id of an open dictation."""
        reference = {"reference": f"Patient/{self.patient}"}
        kind = {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "AMB"}
        visit = {"resourceType": "Encounter", "status": "in-progress", "class": kind, "subject": reference}
        now = "2026-01-01T00:00:00Z"
        encounter = await self.api.store.write(lambda tx: repository.create(tx, visit, now=now))
        body = {"patient": self.patient, "encounter": encounter["id"]}
        answer = await self.http.post("/api/dictations", json=body)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    @asynccontextmanager
    async def line(self, dictation: str) -> AsyncIterator[ClientConnection]:
        """The dictation's WebSocket, with one second of sound on its way."""
        url = f"wss://127.0.0.1:{self.api.port}/api/dictations/{dictation}/stream"
        headers = {"Authorization": f"Bearer {self.doctor.token}"}
        async with connect(url, ssl=self.api.tls(self.doctor), additional_headers=headers, proxy=None) as line:
            sound = wav(1.0)
            told = {"sequence": 0, "sha256": hashlib.sha256(sound).hexdigest(), "size": len(sound)}
            await line.send(json.dumps(told))
            await line.send(sound)
            yield line

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
    jobs = JobQueue(store, clock)
    async with narrow_engine(queue_limit=queue_limit) as engine:
        abilities = EchoAbilities(engine)
        consults = Consults(
            store=store,
            blobs=BlobStore(folder / "blobs"),
            vault=Vault(bytes(32)),
            abilities=abilities,
            jobs=jobs,
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
            await jobs.start()
            try:
                async with api.client(doctor) as http:
                    yield Counter(api, engine, http, doctor, str(patient["id"]))
            finally:
                await consults.stop()
                await jobs.stop()


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


# -- dictations ------------------------------------------------------------------------------------------------------------
async def heard(line: ClientConnection, event: str) -> dict[str, Any]:
    """The next event of this name."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            told: dict[str, Any] = json.loads(await line.recv())
            if told.get("event") == event:
                return told


async def test_a_live_dictation_that_waits_is_told_its_place(tmp_path: Path) -> None:
    async with counter_at(tmp_path) as counter:
        dictation = await counter.opened()
        async with counter.line(dictation) as line:
            async with counter.occupied():
                assert await heard(line, "queue") == {"event": "queue", "position": 1}
                view = (await counter.http.get(f"/api/dictations/{dictation}")).json()
                assert view["queue_position"] == 1
            assert await heard(line, "queue") == {"event": "queue", "position": 0}
            assert (await heard(line, "segment"))["text"] == "tosse"
        view = (await counter.http.get(f"/api/dictations/{dictation}")).json()
        assert view["queue_position"] is None


async def test_a_live_dictation_before_a_full_queue_is_told_when_it_is_tried_again(tmp_path: Path) -> None:
    async with counter_at(tmp_path, queue_limit=1) as counter:
        dictation = await counter.opened()
        async with counter.full(), counter.line(dictation) as line:
            told = await heard(line, "live")
            assert (told["available"], told["problem"]["code"]) == (False, "engine.busy")
            assert told["retry_after"] >= 1
        async with counter.line(dictation) as line:  # the sound is kept: it is heard once there is room
            assert (await heard(line, "segment"))["text"] == "tosse"


async def test_a_completed_dictation_tells_its_place_in_its_state_and_its_events(tmp_path: Path) -> None:
    async with counter_at(tmp_path) as counter:
        dictation = await counter.opened()
        path = f"/api/dictations/{dictation}"
        async with counter.http.stream("GET", f"{path}/events") as events:
            lines = events.aiter_lines()
            async with counter.occupied():
                await put_chunk(counter.http, dictation, 0, wav(1.0))
                assert (await counter.http.post(f"{path}/complete", json={"total_chunks": 1})).status_code == 202
                await lines_until(lines, "event: queue")
                assert json.loads((await anext(lines)).removeprefix("data: ")) == {"position": 1}
                view = (await counter.http.get(path)).json()
                assert (view["state"], view["queue_position"]) == ("transcribing", 1)
            rest = [line async for line in lines]  # the events end with the draft
        assert "event: queue" in rest
        view = await until(counter.http, dictation, "drafted")
        assert view["queue_position"] is None


async def test_recordings_that_wait_for_a_transcriber_are_numbered(tmp_path: Path) -> None:
    async with counter_at(tmp_path) as counter, counter.occupied():
        found = [await counter.opened() for _ in range(11)]
        for dictation in found:
            await put_chunk(counter.http, dictation, 0, wav(0.3))
            await counter.http.post(f"/api/dictations/{dictation}/complete", json={"total_chunks": 1})
        async with asyncio.timeout(PATIENCE_S):
            while True:
                listed = (await counter.http.get("/api/dictations?mine=1")).json()["dictations"]
                waiting = [one["queue_position"] for one in listed if one["state"] == "complete"]
                if len(waiting) < len(found) and sorted(waiting) == list(range(1, len(waiting) + 1)):
                    break
                await asyncio.sleep(0.05)
        assert waiting
