from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import websockets

from appliance.config.model import Dictation as Limits
from tests.api.care_harness import Clinic, clinic_at, put_chunk, until
from tests.fakes import sounds
from tests.fakes.care_models import ScriptedSpeech
from tests.unit.care.conftest import SCRIPT


@pytest.fixture
async def clinic(tmp_path: Path) -> AsyncIterator[Clinic]:
    async with clinic_at(tmp_path, limits=Limits(max_chunk_bytes=100_000, max_audio_bytes=400_000)) as made:
        yield made


def stream(clinic: Clinic, dictation: str) -> Any:
    headers = {"Authorization": f"Bearer {clinic.doctor.token}"}
    return websockets.connect(
        f"wss://127.0.0.1:{clinic.api.port}/api/dictations/{dictation}/stream",
        ssl=clinic.api.tls(clinic.doctor),
        proxy=None,
        additional_headers=headers,
    )


def stored_blobs(clinic: Clinic) -> list[Path]:
    """The files of the blob store."""
    return [path for path in (clinic.api.folder / "blobs").glob("[0-9a-f][0-9a-f]/**/*") if path.is_file()]


async def test_chunks_in_any_order_with_repeats_gaps_and_a_resumption(clinic: Clinic) -> None:
    recording = sounds.wav(2.0)
    cuts = [recording[:20_000], recording[20_000:20_001], recording[20_001:50_000], recording[50_000:]]
    async with clinic.client() as client:
        dictation = await clinic.opened(client)
        base = f"/api/dictations/{dictation}"
        for sequence in (2, 0, 2, 0):
            answer = await put_chunk(client, dictation, sequence, cuts[sequence])
            assert answer.status_code == 200, answer.text
            assert answer.json() == {
                "acknowledged": sequence,
                "sha256": hashlib.sha256(cuts[sequence]).hexdigest(),
                "size": len(cuts[sequence]),
            }
        assert (await client.get(base + "/missing")).json() == {"missing": [1], "received": 2, "next": 3}
        gap = await client.post(base + "/complete", json={"total_chunks": 4})
        assert (gap.status_code, gap.json()["code"], gap.json()["details"]["missing"]) == (409, "dictation.gap", [1, 3])
        for sequence in (await client.get(base + "/missing", params={"total": 4})).json()["missing"]:
            await put_chunk(client, dictation, sequence, cuts[sequence])
        whole = hashlib.sha256(recording).hexdigest()
        for _ in range(2):
            done = await client.post(base + "/complete", json={"total_chunks": 4, "sha256": whole})
            assert done.status_code == 202, done.text
        drafted = await until(client, dictation, "drafted")
        assert (drafted["missing"], drafted["segments"], drafted["problem"]) == ([], len(SCRIPT), None)
        audio = await client.get(base + "/audio")
        assert (audio.content, audio.headers["content-type"]) == (recording, "audio/wav")
        transcript = (await client.get(base + "/transcript")).json()
        assert transcript["text"] == " ".join(SCRIPT)
        assert transcript["ai"]["demonstration_model"] is True
        assert len(stored_blobs(clinic)) == 4


async def test_a_number_that_is_taken_keeps_its_first_content(clinic: Clinic) -> None:
    async with clinic.client() as client:
        dictation = await clinic.opened(client)
        await put_chunk(client, dictation, 0, b"first")
        answer = await put_chunk(client, dictation, 0, b"other")
        assert (answer.status_code, answer.json()["code"]) == (409, "dictation.chunk_conflict")
        assert (await client.get(f"/api/dictations/{dictation}/audio")).content == b"first"
        assert len(stored_blobs(clinic)) == 1


async def test_the_same_chunk_at_once_is_stored_once(clinic: Clinic) -> None:
    async with clinic.client() as client:
        dictation = await clinic.opened(client)
        answers = await asyncio.gather(*(put_chunk(client, dictation, 0, b"x" * 5000) for _ in range(8)))
        assert {answer.status_code for answer in answers} == {200}
        assert len(stored_blobs(clinic)) == 1
        assert (await client.get(f"/api/dictations/{dictation}")).json()["audio_bytes"] == 5000


BAD_CHUNKS: list[tuple[bytes, dict[str, str], Any, int, str | None]] = [
    (b"abc", {"X-Chunk-SHA256": "0" * 64}, 0, 422, "dictation.chunk_damaged"),
    (b"abc", {"X-Chunk-SHA256": "short"}, 0, 422, "invalid"),
    (b"abc", {"Content-Digest": "md5=:abc:"}, 0, 422, "invalid"),
    (b"abc", {}, "-1", 422, "invalid"),
    (b"abc", {}, "abc", 422, "invalid"),
    (b"abc", {}, "99999999", 422, "invalid"),
    (b"", {}, 0, 422, "dictation.chunk_empty"),
    (b"x" * 100_001, {}, 0, 413, None),
]


async def test_bad_chunks_get_a_4xx_that_says_why(clinic: Clinic) -> None:
    async with clinic.client() as client:
        dictation = await clinic.opened(client)
        for data, headers, sequence, status, code in BAD_CHUNKS:
            answer = await put_chunk(client, dictation, sequence, data, **headers)
            assert answer.status_code == status, answer.text
            assert code in (None, answer.json()["code"])
            assert answer.json()["detail"]
        assert (await client.get(f"/api/dictations/{dictation}")).json()["received"] == 0
        assert stored_blobs(clinic) == []


async def test_too_much_audio_is_refused_and_what_came_before_is_kept(clinic: Clinic) -> None:
    async with clinic.client() as client:
        dictation = await clinic.opened(client)
        statuses = [(await put_chunk(client, dictation, n, bytes(100_000))).status_code for n in range(5)]
        assert statuses == [200, 200, 200, 200, 413]
        assert (await client.get(f"/api/dictations/{dictation}")).json()["audio_bytes"] == 400_000
        assert len(stored_blobs(clinic)) == 4


INCOMPLETE: list[tuple[bytes | None, dict[str, Any], int, str]] = [
    (None, {"total_chunks": 1}, 409, "dictation.gap"),
    (b"not audio at all", {"total_chunks": 1}, 415, "audio.unsupported"),
    (sounds.wav(0.1), {"total_chunks": 1, "sha256": "0" * 64}, 422, "dictation.hash_mismatch"),
    (sounds.wav(0.1), {"total_chunks": 0}, 422, "invalid"),
    (sounds.wav(0.1), {"total_chunks": 1, "sha256": "xyz"}, 422, "invalid"),
]


async def test_what_cannot_be_completed_says_why_and_keeps_the_chunks(clinic: Clinic) -> None:
    async with clinic.client() as client:
        for data, body, status, code in INCOMPLETE:
            dictation = await clinic.opened(client)
            if data is not None:
                await put_chunk(client, dictation, 0, data)
            answer = await client.post(f"/api/dictations/{dictation}/complete", json=body)
            assert (answer.status_code, answer.json()["code"]) == (status, code)
            found = (await client.get(f"/api/dictations/{dictation}")).json()
            assert (found["state"], found["audio_bytes"]) == ("open", len(data or b""))


async def test_a_damaged_recording_ends_with_its_reason_and_its_transcript_answers_the_same(clinic: Clinic) -> None:
    async with clinic.client() as client:
        dictation = await clinic.opened(client)
        await put_chunk(client, dictation, 0, b"fLaC" + bytes(200))
        await client.post(f"/api/dictations/{dictation}/complete", json={"total_chunks": 1})
        failed = await until(client, dictation, "failed")
        assert failed["problem"]["code"] == "audio.damaged"
        answer = await client.get(f"/api/dictations/{dictation}/transcript", headers={"Accept-Language": "en"})
        assert (answer.status_code, answer.json()["code"]) == (422, "audio.damaged")
        retried = await client.post(f"/api/dictations/{dictation}/retry", json={})
        assert (retried.status_code, retried.json()["state"]) == (202, "complete")
        assert (await until(client, dictation, "failed"))["problem"]["code"] == "audio.damaged"


async def test_only_the_person_who_opened_it_sends_audio(clinic: Clinic) -> None:
    other, auditor = await clinic.api.phone("physician"), await clinic.api.phone("auditor")
    async with clinic.client() as client, clinic.client(other) as stranger, clinic.client(auditor) as outsider:
        dictation = await clinic.opened(client)
        answer = await put_chunk(stranger, dictation, 0, b"abc")
        assert (answer.status_code, answer.json()["code"]) == (403, "dictation.not_yours")
        assert (await stranger.get(f"/api/dictations/{dictation}")).status_code == 200
        assert (await put_chunk(outsider, dictation, 0, b"abc")).status_code == 403
        assert (await client.get("/api/dictations", params={"mine": "1"})).json()["dictations"][0]["id"] == dictation
        assert (await stranger.get("/api/dictations", params={"mine": "1"})).json()["dictations"] == []


async def test_an_idempotency_key_opens_one_dictation(clinic: Clinic) -> None:
    async with clinic.client() as client:
        body = {"patient": clinic.patient, "encounter": clinic.encounter}
        answers = [
            await client.post("/api/dictations", json=body, headers={"Idempotency-Key": "open-once"}) for _ in range(2)
        ]
        assert answers[0].json()["id"] == answers[1].json()["id"]
        assert len((await client.get("/api/dictations", params={"state": "open"})).json()["dictations"]) == 1


async def test_every_access_is_in_the_audit_with_its_patient(clinic: Clinic) -> None:
    async with clinic.client() as client:
        dictation = await clinic.opened(client)
        await client.get(f"/api/dictations/{dictation}/audio")
    rows = await clinic.api.audit_rows(route="/api/dictations/{dictation_id}/audio")
    assert [row.event.patient for row in rows] == [f"Patient/{clinic.patient}"]


async def test_events_begin_with_the_state_and_end_with_the_draft(clinic: Clinic) -> None:
    async with clinic.client() as client:
        dictation = await clinic.opened(client)
        await put_chunk(client, dictation, 0, sounds.wav(0.5))
        names: list[str] = []
        async with client.stream("GET", f"/api/dictations/{dictation}/events") as live:
            assert live.headers["content-type"].startswith("text/event-stream")
            async for line in live.aiter_lines():
                if line.startswith("event: "):
                    names.append(line.removeprefix("event: "))
                if line.startswith("data: "):
                    data = json.loads(line.removeprefix("data: "))
                    if names == ["state"]:
                        assert data["state"] == "open"
                        await client.post(f"/api/dictations/{dictation}/complete", json={"total_chunks": 1})
        assert data["state"] == "drafted"
        assert names.count("segment") == len(SCRIPT)
        late = await client.get(f"/api/dictations/{dictation}/events")
        assert late.text.count("event: state") == 1
        assert "drafted" in late.text


async def test_a_whole_consult_over_one_websocket_with_a_cut_in_the_middle(clinic: Clinic) -> None:
    recording = sounds.wav(2.0)
    cuts = [recording[:30_000], recording[30_000:60_000], recording[60_000:]]
    async with clinic.client() as client:
        dictation = await clinic.opened(client)
    async with stream(clinic, dictation) as socket:
        first = json.loads(await socket.recv())
        assert (first["event"], first["state"], first["missing"]) == ("state", "open", [])
        assert await tell(socket, 0, cuts[0]) == {"acknowledged": 0, **digest_of(cuts[0])}
        assert await tell(socket, 2, cuts[2]) == {"acknowledged": 2, **digest_of(cuts[2])}
    async with stream(clinic, dictation) as socket:
        assert json.loads(await socket.recv())["missing"] == [1]
        await socket.send(json.dumps({"missing": 3}))
        assert json.loads(await socket.recv()) == {"missing": [1], "received": 2, "next": 3}
        await socket.send(json.dumps({"complete": {"total_chunks": 3}}))
        refused = json.loads(await socket.recv())
        assert (refused["error"]["code"], refused["error"]["missing"]) == ("dictation.gap", [1])
        assert (await tell(socket, 1, cuts[1]))["acknowledged"] == 1
        await socket.send(
            json.dumps({"complete": {"total_chunks": 3, "sha256": hashlib.sha256(recording).hexdigest()}})
        )
        events: list[dict[str, Any]] = []
        async with asyncio.timeout(60):
            while not events or events[-1].get("state") != "drafted":
                events.append(json.loads(await socket.recv()))
    assert {"completed": True, "state": "complete"} in events
    assert [event["text"] for event in events if event.get("event") == "segment"] == list(SCRIPT)
    assert isinstance(clinic.abilities.speech, ScriptedSpeech)
    assert clinic.abilities.speech.heard_bytes == [64_000]


def digest_of(data: bytes) -> dict[str, Any]:
    return {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}


async def tell(socket: Any, sequence: int, data: bytes, **change: Any) -> dict[str, Any]:
    await socket.send(json.dumps({"sequence": sequence, **digest_of(data)} | change))
    await socket.send(data)
    answer: dict[str, Any] = json.loads(await socket.recv())
    return answer


async def test_a_recording_is_told_to_reconnect_when_the_node_hands_over(clinic: Clinic) -> None:
    async with clinic.client() as client:
        dictation = await clinic.opened(client)
    async with asyncio.timeout(30), stream(clinic, dictation) as socket:
        await socket.recv()
        clinic.api.app.hand_over()
        await socket.wait_closed()
        assert (socket.close_code, socket.close_reason) == (1012, "reconnect")


async def test_a_websocket_survives_nonsense(clinic: Clinic) -> None:
    async with clinic.client() as client:
        dictation = await clinic.opened(client)
    async with stream(clinic, dictation) as socket:
        await socket.recv()
        for nonsense in (
            "",
            "[]",
            "{",
            '{"sequence": 0}',
            '{"sequence": "a", "sha256": "b", "size": 1}',
            b"bytes",
            "{}",
        ):
            await socket.send(nonsense)
            assert json.loads(await socket.recv())["error"]["code"] == "invalid"
        damaged = await tell(socket, 0, b"abc", sha256="0" * 64)
        assert (damaged["error"]["code"], damaged["sequence"]) == ("dictation.chunk_damaged", 0)
        assert (await tell(socket, 0, b"abc", size=4))["error"]["code"] == "invalid"
        assert (await tell(socket, 0, b"abc"))["acknowledged"] == 0


async def test_an_unknown_dictation_is_not_found_everywhere(clinic: Clinic) -> None:
    async with clinic.client() as client:
        for path in ("", "/missing", "/transcript", "/audio", "/events"):
            answer = await client.get(f"/api/dictations/none{path}")
            assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
        assert (await put_chunk(client, "none", 0, b"abc")).status_code == 404
