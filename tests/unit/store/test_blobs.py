from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
import stat
import tracemalloc
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.plugin_api.errors import ProntuarioError
from appliance.store.blobs import BlobRef, BlobStore, DataKey, addresses_in, is_whole
from appliance.store.sealing import PIECE_BYTES, sealed_size
from tests.unit.store.conftest import files_limited_to, fill

KEY = DataKey("key-1", hashlib.sha256(b"test").digest())


async def in_chunks(*chunks: bytes) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


async def read(store: BlobStore, ref: BlobRef, key: DataKey = KEY) -> bytes:
    return b"".join([piece async for piece in store.open(ref, key)])


def stored_file(folder: Path, ref: BlobRef) -> Path:
    return folder / ref.address[:2] / ref.address[2:4] / ref.address


def unfinished(folder: Path) -> list[Path]:
    return list((folder / "incoming").iterdir())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "blobs"


@pytest.fixture
def store(folder: Path) -> BlobStore:
    return BlobStore(folder)


@given(sizes=st.lists(st.integers(0, 3 * PIECE_BYTES), max_size=6))
@settings(max_examples=25, deadline=None)
def test_any_chunks_come_back_and_the_address_is_the_files_hash(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int]
) -> None:
    folder = tmp_path_factory.mktemp("blobs")
    chunks = [os.urandom(size) for size in sizes]

    async def there_and_back() -> tuple[BlobRef, bytes]:
        store = BlobStore(folder)
        ref = await store.put(in_chunks(*chunks), KEY)
        return ref, await read(store, ref)

    ref, plain = asyncio.run(there_and_back())
    file = stored_file(folder, ref)
    assert plain == b"".join(chunks)
    assert (ref.size, ref.key_id) == (len(plain), "key-1")
    assert hashlib.sha256(file.read_bytes()).hexdigest() == ref.address
    assert file.stat().st_size == sealed_size(ref.size)
    assert list(addresses_in(folder)) == [ref.address]
    assert is_whole(folder, ref.address)
    shutil.rmtree(folder)


async def test_nothing_readable_lies_on_the_disk(store: BlobStore, folder: Path) -> None:
    words = b"paciente com dispneia aos esforcos " * 4000
    ref = await store.put(in_chunks(words), KEY)
    stored = stored_file(folder, ref).read_bytes()
    assert b"dispneia" not in stored
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


async def test_the_same_words_get_another_address_each_time(store: BlobStore) -> None:
    first, second = await store.put(in_chunks(b"same"), KEY), await store.put(in_chunks(b"same"), KEY)
    assert first.address != second.address  # who can list the folder must not learn that two are equal


async def test_large_audio_never_lies_whole_in_memory(store: BlobStore) -> None:
    block = os.urandom(1 << 20)

    async def hour() -> AsyncIterator[bytes]:
        for _ in range(64):
            yield block

    tracemalloc.start()
    try:
        ref = await store.put(hour(), KEY)
        digest = hashlib.sha256()
        async for piece in store.open(ref, KEY):
            digest.update(piece)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert digest.digest() == hashlib.sha256(block * 64).digest()
    assert peak < 16 << 20


@pytest.mark.parametrize("size", [0, 5, PIECE_BYTES, 2 * PIECE_BYTES + 1])
async def test_a_changed_file_is_never_read_to_its_end(store: BlobStore, folder: Path, size: int) -> None:
    ref = await store.put(in_chunks(b"x" * size), KEY)
    file = stored_file(folder, ref)
    good = file.read_bytes()
    flipped = bytearray(good)
    flipped[-1] ^= 1
    for bad in (bytes(flipped), good[:-1], good + b"\0", good[:10], b""):
        file.write_bytes(bad)
        with pytest.raises(ProntuarioError) as caught:
            await read(store, ref)
        assert caught.value.kind.code == "blob.damaged"
        assert not is_whole(folder, ref.address)
    file.write_bytes(good)
    assert await read(store, ref) == b"x" * size


async def test_two_files_of_one_key_can_not_be_swapped(store: BlobStore, folder: Path) -> None:
    mine, other = await store.put(in_chunks(b"mine"), KEY), await store.put(in_chunks(b"your"), KEY)
    stored_file(folder, mine).write_bytes(stored_file(folder, other).read_bytes())
    with pytest.raises(ProntuarioError) as caught:
        await read(store, mine)
    assert caught.value.kind.code == "blob.damaged"


async def test_another_key_does_not_open_it(store: BlobStore) -> None:
    ref = await store.put(in_chunks(b"words"), KEY)
    with pytest.raises(ProntuarioError) as caught:
        await read(store, ref, DataKey("key-1", bytes(32)))
    assert caught.value.kind.code == "blob.damaged"


async def test_a_deleted_blob_is_gone_and_deleting_again_is_fine(store: BlobStore, folder: Path) -> None:
    ref = await store.put(in_chunks(b"words"), KEY)
    await store.delete(ref)
    await store.delete(ref)
    with pytest.raises(ProntuarioError) as caught:
        await read(store, ref)
    assert (caught.value.kind.code, caught.value.kind.status) == ("blob.missing", 404)
    assert not is_whole(folder, ref.address)


async def test_a_sender_that_breaks_off_leaves_nothing_and_is_not_taken_for_the_disk(
    store: BlobStore, folder: Path
) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"x" * (2 << 20)
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        await store.put(broken(), KEY)
    assert unfinished(folder) == []
    assert list(addresses_in(folder)) == []


async def test_a_cancelled_upload_leaves_nothing(store: BlobStore, folder: Path) -> None:
    reached = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        yield b"x" * (2 << 20)
        reached.set()
        await asyncio.Event().wait()

    upload = asyncio.create_task(store.put(endless(), KEY))
    await reached.wait()
    assert len(unfinished(folder)) == 1
    upload.cancel()
    with pytest.raises(asyncio.CancelledError):
        await upload
    assert unfinished(folder) == []


async def test_what_a_killed_process_left_is_swept_at_start(store: BlobStore, folder: Path) -> None:
    ref = await store.put(in_chunks(b"whole"), KEY)
    (folder / "incoming" / "half").write_bytes(b"half")
    again = BlobStore(folder)
    assert unfinished(folder) == []
    assert await read(again, ref) == b"whole"


async def test_a_full_disk_is_told_and_nothing_half_written_stays(small_disk: Path) -> None:
    store = BlobStore(small_disk / "blobs")
    before = await store.put(in_chunks(b"before"), KEY)
    with pytest.raises(ProntuarioError) as caught:
        await store.put(in_chunks(*[os.urandom(1 << 20)] * 8), KEY)
    assert (caught.value.kind.code, caught.value.kind.status) == ("store.full", 507)
    assert unfinished(small_disk / "blobs") == []
    assert list(addresses_in(small_disk / "blobs")) == [before.address]
    fill(small_disk / "filler")
    with pytest.raises(ProntuarioError):
        await store.put(in_chunks(b"tiny"), KEY)
    (small_disk / "filler").unlink()
    after = await store.put(in_chunks(b"after"), KEY)
    assert await read(store, after) == b"after"


async def test_a_file_that_may_not_grow_is_a_full_disk_too(store: BlobStore, folder: Path) -> None:
    with files_limited_to(1 << 20), pytest.raises(ProntuarioError) as caught:
        await store.put(in_chunks(*[os.urandom(1 << 20)] * 4), KEY)
    assert caught.value.kind.code == "store.full"
    assert unfinished(folder) == []


async def test_many_uploads_at_once_stay_apart(store: BlobStore) -> None:
    bodies = [os.urandom(50_000 + n) for n in range(40)]
    refs = await asyncio.gather(*(store.put(in_chunks(body), KEY) for body in bodies))
    assert await asyncio.gather(*(read(store, ref) for ref in refs)) == bodies
