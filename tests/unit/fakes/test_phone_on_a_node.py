"""The reference phone on a real node, over a wire that is cut again and again: nothing is lost, nothing is there twice."""

from __future__ import annotations

import asyncio
import gc
import hashlib
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.resources import files

import httpx
import pytest

from appliance.daemon.demo.consult import take_consult
from appliance.daemon.demo.phone import FHIR, chunks
from tests.conftest import RunningNode
from tests.fakes.cutting_relay import CuttingRelay, cutting_relay
from tests.fakes.phone import Heard, ReferencePhone
from tests.fakes.phone_dictation import LiveRecording, send_recording

pytestmark = [
    pytest.mark.system,
    pytest.mark.timeout(300),
    # httpx leaves the socket to the collector when the wire is cut in the middle of a TLS handshake
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),
]
PIECES = chunks(files("appliance.daemon").joinpath("sample/consult.flac").read_bytes(), 24_000)


@asynccontextmanager
async def phone_behind_a_relay(
    node: RunningNode, *, http2: bool = True, heard: list[Heard] | None = None
) -> AsyncIterator[tuple[ReferencePhone, CuttingRelay]]:
    client = node.client_json("physician", "dra.telefone")
    api = httpx.URL(client["api"])
    told = [] if heard is None else heard
    async with cutting_relay(api.host, api.port or 443) as relay:
        here = str(api.copy_with(host="127.0.0.1", port=relay.port))
        phone = ReferencePhone(client | {"api": here}, http2=http2, heard=told.append, seed=5)
        try:
            yield phone, relay
        finally:
            await phone.close()
            gc.collect()  # here, not in the next test, where a socket left behind would be an error


async def open_dictation(phone: ReferencePhone) -> str:
    patient = await phone.create({"resourceType": "Patient", "name": [{"family": "Fio"}]})
    code = {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "AMB"}
    subject = {"reference": f"Patient/{patient['id']}"}
    encounter = await phone.create(
        {"resourceType": "Encounter", "status": "in-progress", "class": code, "subject": subject}
    )
    opened = await phone.post("/api/dictations", {"patient": patient["id"], "encounter": encounter["id"]})
    return str(opened["id"])


async def kept_audio(phone: ReferencePhone, dictation: str) -> str:
    answer = await phone._call("GET", f"/api/dictations/{dictation}/audio")
    return hashlib.sha256(answer.content).hexdigest()


@pytest.mark.parametrize("http2", [True, False])
async def test_creates_over_a_wire_that_is_cut_are_there_once(running_node: RunningNode, http2: bool) -> None:
    family, heard = f"Corte{secrets.token_hex(4)}", list[Heard]()
    async with phone_behind_a_relay(running_node, http2=http2, heard=heard) as (phone, relay):
        relay.cut_after(*[4000] * 6)
        body = {"resourceType": "Patient", "name": [{"family": family}]}
        made = await asyncio.gather(*(phone.create(body) for _ in range(40)))
        found = await phone.get(f"{FHIR}/Patient", family=family, _count="100")
        cuts = relay.cuts
    assert cuts >= 3
    assert any(one.tries > 1 for one in heard)
    assert sorted(entry["resource"]["id"] for entry in found["entry"]) == sorted(one["id"] for one in made)


async def test_a_recording_arrives_whole(running_node: RunningNode) -> None:
    async with phone_behind_a_relay(running_node) as (phone, relay):
        dictation = await open_dictation(phone)
        relay.cut_after(*[60_000] * 3)
        done = await send_recording(phone, dictation, PIECES)
        assert relay.cuts >= 3
        assert await kept_audio(phone, dictation) == hashlib.sha256(b"".join(PIECES)).hexdigest()
    assert done["received"] == len(PIECES)


async def test_a_live_recording_goes_on_with_the_first_missing_chunk(running_node: RunningNode) -> None:
    async with phone_behind_a_relay(running_node) as (phone, relay):
        dictation = await open_dictation(phone)
        relay.cut_after(*[60_000] * 3)
        live = LiveRecording(phone, dictation, PIECES)
        await live.send()
        assert await kept_audio(phone, dictation) == hashlib.sha256(b"".join(PIECES)).hexdigest()
    assert live.connections >= 3
    assert live.acknowledged == set(range(len(PIECES)))
    assert live.lost == set()


async def test_a_whole_consult_is_signed_although_the_wire_breaks_every_second(running_node: RunningNode) -> None:
    async with phone_behind_a_relay(running_node) as (phone, relay):

        async def cutter() -> None:
            while True:
                await asyncio.sleep(1.0)
                relay.cut()

        cutting = asyncio.create_task(cutter())
        consult = await take_consult(phone, b"".join(PIECES), lambda _stage, _sentence: None)
        cutting.cancel()
    assert relay.cuts >= 2
    assert consult.note["state"] == "signed"
    assert consult.verification["valid"] is True
