"""Audio in and out of the blob store: chunks as they arrive, the whole recording as one stream."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from functools import partial
from typing import TypeVar

import msgspec

from appliance.care import dictations, errors
from appliance.care.audio_errors import AUDIO_UNSUPPORTED
from appliance.care.audio_format import HEAD_BYTES, sniff
from appliance.care.model import Chunk, Dictation
from appliance.care.progress import Broker
from appliance.config.model import MIB
from appliance.config.model import Dictation as Limits
from appliance.plugin_api.errors import ProntuarioError
from appliance.plugin_api.storage import Store, Transaction
from appliance.security.vault import Vault
from appliance.store.blobs import BlobRef, BlobStore
from appliance.telemetry.clock import Clock, instant

T = TypeVar("T")
Commit = Callable[[Callable[[Transaction], Chunk]], Awaitable[T]]
"""Runs the function in a durable transaction and gives the caller's own kind of answer."""
_REFUSED = 500
"""Errors below this status mean that nothing was written; above it one can't know."""


class Upload(msgspec.Struct, frozen=True):
    """One chunk as it arrived; ``sha256`` (hex) is what the client computed."""

    dictation_id: str
    user_id: str
    sequence: int
    sha256: str
    data: bytes


class Intake:
    """Where recordings are kept. One per node."""

    def __init__(
        self, *, store: Store, blobs: BlobStore, vault: Vault, limits: Limits, clock: Clock, broker: Broker
    ) -> None:
        self._store = store
        self._blobs = blobs
        self._vault = vault
        self._clock = clock
        self._broker = broker
        self.limits = limits

    async def keep(self, upload: Upload, commit: Commit[T]) -> T:
        """Keep a chunk: its bytes first, then the row that names them, through ``commit``.

        A chunk that is stored already is not stored again; the answer is the same.

        Raises:
            ProntuarioError: ``dictation.chunk_damaged`` 422, ``dictation.chunk_empty`` 422, ``dictation.chunk_too_big`` 413,
                ``dictation.chunk_conflict`` 409, ``dictation.not_open`` 409, ``dictation.not_yours`` 403,
                ``audio.too_big`` 413, ``not_found`` 404, ``store.full`` 507.
        """
        await self._check(upload)
        dictation = await self._store.read(lambda q: dictations.own(q, upload.dictation_id, upload.user_id))
        known = await self._store.read(
            lambda q: dictations.stored_chunk(q, dictation, upload.sequence, upload.sha256.lower())
        )
        mine = known or await self._put(upload, dictation)
        counted: list[Chunk] = []

        def name(tx: Transaction) -> Chunk:
            counted[:] = [self._name(tx, upload, mine)]
            return counted[0]

        try:
            answer = await commit(name)
        except ProntuarioError as error:
            if error.kind.status < _REFUSED and known is None:
                await self._drop(mine)
            raise
        if known is None and counted and counted[0].blob != mine.blob:
            await self._drop(mine)  # the same chunk came twice at once, and the other was faster
        return answer

    async def _check(self, upload: Upload) -> None:
        if not upload.data:
            raise errors.CHUNK_EMPTY(field="sequence", sequence=upload.sequence)
        if len(upload.data) > self.limits.max_chunk_bytes:
            limit_mib = self.limits.max_chunk_bytes / MIB
            raise errors.CHUNK_TOO_BIG(field="sequence", sequence=upload.sequence, limit_mib=f"{limit_mib:g}")
        digest = await asyncio.to_thread(lambda: hashlib.sha256(upload.data).hexdigest())
        if digest != upload.sha256.lower():
            raise errors.CHUNK_DAMAGED(field="sha256", sequence=upload.sequence)

    async def _put(self, upload: Upload, dictation: Dictation) -> Chunk:
        key = await self._store.read(lambda q: self._vault.find_key(q, dictation.key_id))
        ref = await self._blobs.put(_once(upload.data), key)
        return Chunk(upload.sequence, upload.sha256.lower(), ref.size, ref.address, ref.key_id)

    def _name(self, tx: Transaction, upload: Upload, chunk: Chunk) -> Chunk:
        found = sniff(upload.data[:HEAD_BYTES]) if upload.sequence == 0 else None
        counted = dictations.add_chunk(
            tx,
            upload.dictation_id,
            upload.user_id,
            chunk,
            max_bytes=self.limits.max_audio_bytes,
            media_type=None if found is None else found.media_type,
            now=instant(self._clock.now()),
        )
        received = dictations.received(tx, upload.dictation_id)
        tx.after_commit(
            partial(self._broker.publish, upload.dictation_id, "chunk", sequence=counted.sequence, received=received)
        )
        return counted

    async def _drop(self, chunk: Chunk) -> None:
        await self._blobs.delete(BlobRef(chunk.blob, chunk.size, chunk.key_id))

    async def check_whole(self, dictation: Dictation, sha256: str | None) -> None:
        """Look at a recording before it is completed: known audio, and the hash that the client has of it all.

        Raises:
            ProntuarioError: ``audio.unsupported`` 415, ``dictation.hash_mismatch`` 422. The chunks are kept.
        """
        stored = await self._store.read(lambda q: dictations.chunks(q, dictation.id))
        digest, head = hashlib.sha256(), b""
        async for piece in self.pieces(stored):
            head += piece[: HEAD_BYTES - len(head)]
            if sha256 is None and len(head) == HEAD_BYTES:
                break
            await asyncio.to_thread(digest.update, piece)
        if sniff(head) is None:
            raise AUDIO_UNSUPPORTED(field="audio")
        if sha256 is not None and digest.hexdigest() != sha256.lower():
            raise errors.HASH_MISMATCH(field="sha256")

    async def audio(self, dictation_id: str) -> AsyncIterator[bytes]:
        """The recording as it was sent, chunk after chunk, decrypted on the way."""
        stored = await self._store.read(lambda q: dictations.chunks(q, dictation_id))
        async for piece in self.pieces(stored):
            yield piece

    async def pieces(self, stored: Sequence[Chunk]) -> AsyncIterator[bytes]:
        """The bytes of some stored chunks, decrypted on the way."""
        for chunk in stored:
            key = await self._store.read(partial(self._vault.find_key, key_id=chunk.key_id))
            async for piece in self._blobs.open(BlobRef(chunk.blob, chunk.size, chunk.key_id), key):
                yield piece


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data
