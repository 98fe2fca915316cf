from __future__ import annotations

import asyncio
import hashlib
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from appliance.care import dictations
from appliance.care.errors import NOT_OPEN
from appliance.care.intake import Upload
from appliance.care.model import Chunk
from appliance.config.model import Dictation as Limits
from appliance.plugin_api.errors import ProntuarioError
from appliance.plugin_api.storage import Transaction
from appliance.store.errors import UNCONFIRMED
from tests.unit.care.conftest import Ward, ward_at

NAMES = st.lists(st.tuples(st.integers(0, 7), st.booleans()), max_size=24)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(sent=NAMES, total=st.integers(1, 8))
def test_any_order_any_repeats_any_gaps(sent: list[tuple[int, bool]], total: int) -> None:
    """A model of what must be there is compared with what is, after every kind of upload."""
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(_upload_all(Path(folder), sent, total))


async def _upload_all(folder: Path, sent: list[tuple[int, bool]], total: int) -> None:
    expected: dict[int, bytes] = {}
    async with ward_at(folder, running=False) as ward:
        dictation = await ward.open()
        for sequence, other in sent:
            data = f"{sequence}{'-other' if other else ''}".encode()
            if expected.setdefault(sequence, data) == data:
                assert (await ward.send(dictation.id, sequence, data)).sequence == sequence
            else:
                with pytest.raises(ProntuarioError, match=r"dictation\.chunk_conflict"):
                    await ward.send(dictation.id, sequence, data)
        gaps = [number for number in range(total) if number not in expected]
        assert await ward.store.read(lambda q: dictations.missing(q, dictation.id, total)) == gaps
        stored = await ward.store.read(lambda q: dictations.chunks(q, dictation.id))
        assert [chunk.sequence for chunk in stored] == sorted(expected)
        whole = b"".join([piece async for piece in ward.consults.intake.audio(dictation.id)])
        assert whole == b"".join(expected[number] for number in sorted(expected))
        assert len(blob_files(ward)) == len(expected)
        beyond = any(number >= total for number in expected)
        if gaps or beyond:
            with pytest.raises(ProntuarioError, match=r"dictation\.(gap|chunk_beyond)"):
                await ward.complete(dictation.id, total)
        else:
            assert (await ward.complete(dictation.id, total)).state == "complete"


def blob_files(ward: Ward) -> list[Path]:
    return [path for path in (ward.folder / "blobs").glob("[0-9a-f][0-9a-f]/**/*") if path.is_file()]


async def test_completing_again_alike_is_harmless_and_otherwise_refused(still_ward: Ward) -> None:
    ward = still_ward
    dictation = await ward.open()
    await ward.send(dictation.id, 0, b"abc")
    first = await ward.complete(dictation.id, 1)
    assert await ward.complete(dictation.id, 1) == first
    with pytest.raises(ProntuarioError, match=r"dictation\.not_open"):
        await ward.complete(dictation.id, 2)
    assert await ward.send(dictation.id, 0, b"abc")
    with pytest.raises(ProntuarioError, match=r"dictation\.not_open"):
        await ward.send(dictation.id, 1, b"late")
    jobs = await ward.store.read(lambda q: q.all("SELECT kind FROM store_job"))
    assert [str(row[0]) for row in jobs] == ["care.transcribe"]


async def test_a_refused_write_leaves_no_bytes_behind_and_an_uncertain_one_keeps_them(still_ward: Ward) -> None:
    ward = still_ward
    dictation = await ward.open()
    upload = Upload(dictation.id, ward.doctor.user_id, 0, hashlib.sha256(b"abc").hexdigest(), b"abc")

    async def refuse(_name: Callable[[Transaction], Chunk]) -> None:
        raise NOT_OPEN()

    async def lose(name: Callable[[Transaction], Chunk]) -> None:
        await ward.store.write(name)
        raise UNCONFIRMED()

    with pytest.raises(ProntuarioError, match=r"dictation\.not_open"):
        await ward.consults.intake.keep(upload, refuse)
    assert blob_files(ward) == []
    with pytest.raises(ProntuarioError, match=r"store\.unconfirmed"):
        await ward.consults.intake.keep(upload, lose)
    assert b"".join([piece async for piece in ward.consults.intake.audio(dictation.id)]) == b"abc"


async def test_nothing_is_acknowledged_before_it_is_durable(still_ward: Ward) -> None:
    """The bytes are in the blob store when the transaction that names them begins."""
    ward = still_ward
    dictation = await ward.open()
    upload = Upload(dictation.id, ward.doctor.user_id, 0, hashlib.sha256(b"abc").hexdigest(), b"abc")
    there: list[int] = []

    async def commit(name: Callable[[Transaction], Chunk]) -> Chunk:
        def change(tx: Transaction) -> Chunk:
            there.append(len(blob_files(ward)))
            return name(tx)

        return await ward.store.write(change)

    await ward.consults.intake.keep(upload, commit)
    assert there == [1]


async def test_limits_hold_and_keep_what_came_before(tmp_path: Path) -> None:
    async with ward_at(tmp_path, limits=Limits(max_chunk_bytes=10, max_audio_bytes=25), running=False) as ward:
        dictation = await ward.open()
        with pytest.raises(ProntuarioError, match=r"dictation\.chunk_too_big"):
            await ward.send(dictation.id, 0, bytes(11))
        await ward.send(dictation.id, 0, bytes(10))
        await ward.send(dictation.id, 1, bytes(10))
        with pytest.raises(ProntuarioError, match=r"audio\.too_big"):
            await ward.send(dictation.id, 2, bytes(6))
        with pytest.raises(ProntuarioError, match=r"dictation\.not_yours"):
            await ward.send(dictation.id, 2, bytes(1), user="somebody-else")
        assert (await ward.dictation(dictation.id)).audio_bytes == 20
        assert len(blob_files(ward)) == 2


async def test_recordings_are_sealed_on_disk(still_ward: Ward) -> None:
    ward = still_ward
    dictation = await ward.open()
    secret = b"Maria de Souza tem dor" * 50
    await ward.send(dictation.id, 0, secret)
    for path in ward.folder.rglob("*"):
        if path.is_file():
            assert b"Maria de Souza" not in path.read_bytes()


async def test_erasing_a_patients_key_makes_the_recording_unreadable(still_ward: Ward) -> None:
    ward = still_ward
    dictation = await ward.open()
    await ward.send(dictation.id, 0, b"abc")
    await ward.store.write(lambda tx: ward.vault.erase(tx, dictations.scope_of(ward.patient)))
    with pytest.raises(ProntuarioError, match=r"vault\.erased"):
        async for _ in ward.consults.intake.audio(dictation.id):
            pass
