"""Blobs before the commit that names them; model packs and configuration, checked by their checksums."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from appliance.cluster.blob_shipping import BlobReceiver, BlobShipping
from appliance.cluster.errors import READ_ONLY
from appliance.cluster.file_sync import SPARE_BYTES, Digests, FileReceiver, entries_of, send_folder
from appliance.cluster.peer_messages import (
    PART_BYTES,
    CommitFiles,
    FileEntry,
    HaveBlobs,
    HaveFiles,
    Missing,
    PutBlob,
    PutFile,
)
from appliance.plugin_api.errors import ProntuarioError
from appliance.store.blobs import BlobStore, addresses_in, is_whole
from appliance.store.sealing import DataKey
from tests.cluster.replication.conftest import Wire, Wiring

KEY = DataKey("k", bytes(32))


class PairSaid:
    """The barrier's side of a blob."""

    def __init__(self) -> None:
        self.waits_for_peer = True
        self.failed = 0
        self.read_only = False

    async def peer_failed(self) -> None:
        self.failed += 1
        if self.read_only:
            raise READ_ONLY(retry_after=1.0)
        self.waits_for_peer = False


class Nodes:
    def __init__(self, home: Path, wire: Wire) -> None:
        self.wire = wire
        self.there = home / "b" / "blobs"
        self.pair = PairSaid()
        self.shipping = BlobShipping(1, home / "a" / "blobs", wire.link, self.pair)
        self.store = BlobStore(home / "a" / "blobs", self.shipping)


async def pieces(content: bytes) -> AsyncIterator[bytes]:
    yield content


@pytest.fixture
async def nodes(tmp_path: Path, r_wire: Wiring) -> Nodes:
    receiver = BlobReceiver(tmp_path / "b" / "blobs", lambda: 1)
    return Nodes(tmp_path, await r_wire(receiver.handlers()))


@pytest.mark.parametrize("size", [0, 10, 3 * PART_BYTES + 17])
async def test_a_put_returns_when_both_nodes_hold_the_blob(nodes: Nodes, size: int) -> None:
    content = os.urandom(size)
    ref = await nodes.store.put(pieces(content), KEY)
    assert is_whole(nodes.there, ref.address)
    other = BlobStore(nodes.there)
    assert b"".join([piece async for piece in other.open(ref, KEY)]) == content


async def test_without_the_peer_the_mark_comes_first_and_the_blob_follows_later(nodes: Nodes) -> None:
    await nodes.wire.server.close()
    ref = await nodes.store.put(pieces(b"x"), KEY)
    assert (nodes.pair.failed, is_whole(nodes.there, ref.address)) == (1, False)
    await nodes.store.put(pieces(b"y"), KEY)
    assert nodes.pair.failed == 1  # alone by now: nobody waits
    await nodes.wire.server.start()


async def test_a_blob_that_is_neither_there_nor_excused_has_no_address(nodes: Nodes) -> None:
    nodes.pair.read_only = True
    await nodes.wire.server.close()
    with pytest.raises(ProntuarioError) as caught:
        await nodes.store.put(pieces(b"x"), KEY)
    assert caught.value.kind is READ_ONLY


async def test_what_was_put_alone_is_caught_up(nodes: Nodes) -> None:
    nodes.pair.waits_for_peer = False
    refs = [await nodes.store.put(pieces(b"%d" % n), KEY) for n in range(20)]
    assert list(addresses_in(nodes.there)) == []
    await nodes.shipping.catch_up()
    assert set(addresses_in(nodes.there)) == {ref.address for ref in refs}
    await nodes.shipping.catch_up()


async def test_an_erased_blob_goes_there_too(nodes: Nodes) -> None:
    ref = await nodes.store.put(pieces(b"x"), KEY)
    await nodes.store.delete(ref)
    assert list(addresses_in(nodes.there)) == []
    await nodes.wire.server.close()
    await nodes.store.delete(ref)  # a peer that is away does not hold up an erasure


async def refused(receiver: BlobReceiver | FileReceiver, question: Any) -> str:
    with pytest.raises(ProntuarioError) as caught:
        await receiver.handlers()[type(question)](question)  # type: ignore[misc]
    return caught.value.kind.code


async def test_a_blob_is_what_its_address_says_and_comes_from_the_current_primary(tmp_path: Path) -> None:
    receiver = BlobReceiver(tmp_path, lambda: 5)
    right = hashlib.sha256(b"abc").hexdigest()
    assert await refused(receiver, PutBlob(5, right, 0, 3, b"abd")) == "cluster.bad_part"
    assert await refused(receiver, PutBlob(5, "../../../etc/passwd", 0, 3, b"abc")) == "cluster.bad_part"
    assert await refused(receiver, PutBlob(4, right, 0, 3, b"abc")) == "cluster.stale_epoch"
    assert await refused(receiver, PutBlob(6, right, 0, 3, b"abc")) == "cluster.epoch_ahead"
    assert await receiver._on_have(HaveBlobs((right, "../x"))) == Missing((right,))
    assert list(addresses_in(tmp_path)) == []


# -- files ----------------------------------------------------------------------------------------------------------------
async def test_only_what_differs_travels(tmp_path: Path, r_wire: Wiring) -> None:
    here, there = tmp_path / "a", tmp_path / "b"
    (here / "stt" / "active").mkdir(parents=True)
    (here / "stt" / "active" / "weights").write_bytes(os.urandom(2 * PART_BYTES + 5))
    (here / "stt" / "config.json").write_text("{}")
    (here / ".hidden").write_text("not for others")
    (here / "empty").touch()
    wire = await r_wire(FileReceiver({"models": there}, lambda: 1).handlers())
    assert await send_folder(wire.link, 1, "models", here) == 3
    assert entries_of(there) == entries_of(here)
    assert await send_folder(wire.link, 1, "models", here) == 0
    (here / "stt" / "config.json").write_text('{"a": 1}')
    (there / "stt" / "active" / "weights").write_bytes(b"broken")
    assert await send_folder(wire.link, 1, "models", here) == 2
    assert entries_of(there) == entries_of(here)


def age(path: Path) -> None:
    """Make the times as old as a settled file's; ctime can't be set, so wait for it."""
    while time.time_ns() - path.stat().st_ctime_ns < 2_100_000_000:
        time.sleep(0.05)


def test_a_settled_file_is_read_once_and_a_changed_one_again(tmp_path: Path) -> None:
    path, digests = tmp_path / "weights", Digests()
    path.write_bytes(b"one")
    age(path)
    right = hashlib.sha256(b"one").hexdigest()
    assert digests.of(path) == right
    inode = path.stat()
    assert digests._known[path][1] == right
    digests._known[path] = digests._known[path][0], "remembered"
    assert digests.of(path) == "remembered"
    path.write_bytes(b"two")
    os.utime(path, ns=(inode.st_atime_ns, inode.st_mtime_ns))  # as whoever hides a change would
    assert digests.of(path) == hashlib.sha256(b"two").hexdigest()
    assert digests.of(path) == hashlib.sha256(b"two").hexdigest()


def test_what_was_just_written_is_not_remembered(tmp_path: Path) -> None:
    path, digests = tmp_path / "weights", Digests()
    for content in (b"one", b"two"):
        path.write_bytes(content)
        assert digests.of(path) == hashlib.sha256(content).hexdigest()


async def test_nothing_takes_its_place_until_everything_is_there(tmp_path: Path) -> None:
    receiver = FileReceiver({"models": tmp_path}, lambda: 1)
    first, second = (FileEntry(name, 1, hashlib.sha256(b"x").hexdigest()) for name in ("one", "two"))
    await receiver._on_put(PutFile(1, "models", first, 0, b"x"))
    assert await refused(receiver, CommitFiles(1, "models", (first, second))) == "cluster.bad_part"
    assert entries_of(tmp_path) == ()
    await receiver._on_put(PutFile(1, "models", second, 0, b"x"))
    await receiver._on_commit(CommitFiles(1, "models", (first, second)))
    assert entries_of(tmp_path) == (first, second)


async def test_models_that_do_not_fit_beside_the_record_are_not_begun(tmp_path: Path) -> None:
    receiver = FileReceiver({"models": tmp_path}, lambda: 1, free=lambda _: SPARE_BYTES + 9)
    sent = FileEntry("one", 1, hashlib.sha256(b"x").hexdigest())
    large, fitting = FileEntry("two", 10, "0" * 64), FileEntry("two", 9, "0" * 64)
    await receiver._on_put(PutFile(1, "models", sent, 0, b"x"))
    with pytest.raises(ProntuarioError, match=r"store\.full"):
        await receiver._on_have(HaveFiles("models", (large,)))
    assert list((tmp_path / ".from-peer").iterdir()) == []  # what a broken-off attempt left takes no room either
    assert await receiver._on_have(HaveFiles("models", (fitting,))) == Missing(("two",))


@pytest.mark.parametrize("path", ["../x", "/etc/x", "a/../../x", "", ".from-peer/x", "a/.ssh"])
async def test_no_path_leads_out_of_its_root(tmp_path: Path, path: str) -> None:
    receiver = FileReceiver({"models": tmp_path}, lambda: 1)
    entry = FileEntry(path, 1, hashlib.sha256(b"x").hexdigest())
    assert await refused(receiver, PutFile(1, "models", entry, 0, b"x")) == "cluster.bad_part"
    assert await refused(receiver, PutFile(1, "secrets", entry, 0, b"x")) == "cluster.bad_part"


async def test_nothing_is_written_through_a_link(tmp_path: Path) -> None:
    pack, root = tmp_path / "models" / "chat" / "gemma-2", tmp_path / "models"
    pack.mkdir(parents=True)
    (pack / "config.json").write_text("signed")
    (pack.parent / "active").symlink_to("gemma-2")
    (pack / "LICENSE").symlink_to("config.json")
    receiver = FileReceiver({"models": root}, lambda: 1)
    for path in ("chat/active/config.json", "chat/active", "chat/gemma-2/LICENSE"):
        entry = FileEntry(path, 1, hashlib.sha256(b"x").hexdigest())
        assert await refused(receiver, PutFile(1, "models", entry, 0, b"x")) == "cluster.bad_part"
        with pytest.raises(ProntuarioError, match=r"cluster\.bad_part"):
            await receiver._on_have(HaveFiles("models", (entry,)))
    assert (pack / "config.json").read_text() == "signed"


async def test_a_wrong_checksum_or_epoch_is_refused(tmp_path: Path) -> None:
    receiver = FileReceiver({"models": tmp_path}, lambda: 2)
    entry = FileEntry("one", 1, hashlib.sha256(b"x").hexdigest())
    assert await refused(receiver, PutFile(2, "models", entry, 0, b"y")) == "cluster.bad_part"
    assert await refused(receiver, PutFile(1, "models", entry, 0, b"x")) == "cluster.stale_epoch"
