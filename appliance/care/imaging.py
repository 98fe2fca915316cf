"""Pictures into the record: the original is kept, a model may look at it, a person decides what becomes of what it says."""

from __future__ import annotations

import asyncio
import hashlib
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from appliance.care import audio
from appliance.care import imaging_errors as errors
from appliance.care import imaging_rows as rows
from appliance.care.ai_switches import require
from appliance.care.dictations import scope_of
from appliance.care.imaging_forms import claim_of, decided, media
from appliance.care.imaging_job import ANALYSE, ImageAnalysing
from appliance.care.imaging_model import Analysis, Asked, Decision, Image
from appliance.config.model import MIB
from appliance.plugin_api.engine import CallOptions, Lane
from appliance.plugin_api.errors import INVALID, ProntuarioError
from appliance.plugin_api.http import Principal
from appliance.plugin_api.images import ImageFacts, LabelSet
from appliance.plugin_api.storage import Query, Store, Transaction
from appliance.plugin_host.choice import Abilities
from appliance.records import repository
from appliance.security.vault import Vault
from appliance.store.blobs import BlobRef, BlobStore
from appliance.store.jobs import JobQueue, enqueue
from appliance.store.threads import to_the_end
from appliance.telemetry.clock import Clock, instant

T = TypeVar("T")
Commit = Callable[[Callable[[Transaction], Image]], Awaitable[T]]
"""Runs the function in a durable transaction and gives the caller's own kind of answer."""
MAX_BYTES: Final = 1024 * MIB
INSPECT_S: Final = 120.0
FRAMES_AT_ONCE: Final = 4
"""Originals that lie on the record's disk at a time for frames of them to be shown; each may have ``MAX_BYTES``."""
RESUMED_AT_START: Final = 1000
_BLOCK_BYTES: Final = 1 << 20
_REFUSED: Final = 500
"""Errors below this status mean that nothing was written; above it one can't know."""


class Upload(msgspec.Struct, frozen=True):
    """For whom a picture arrives."""

    patient_id: str
    encounter_id: str | None
    title: str


class Images:
    """The pictures of one node. ``spool``: where an original lies in the clear while it is opened; swept at start."""

    def __init__(
        self,
        *,
        store: Store,
        blobs: BlobStore,
        vault: Vault,
        abilities: Abilities,
        jobs: JobQueue,
        clock: Clock,
        spool: Path,
    ) -> None:
        self.store = store
        self._blobs, self._vault, self._abilities = blobs, vault, abilities
        self._jobs, self._clock, self._spool = jobs, clock, spool
        self._frames = asyncio.Semaphore(FRAMES_AT_ONCE)
        ImageAnalysing(store, blobs, vault, abilities, clock, self._spooled).register(jobs)

    def resume(self, tx: Transaction) -> None:
        """After a restart: everything that is to be looked at has its job."""
        for analysis in rows.waiting(tx, RESUMED_AT_START):
            self._ask(tx, analysis.id)

    # -- in ---------------------------------------------------------------------------------------------------------
    async def keep(self, upload: Upload, body: AsyncIterator[bytes], who: Principal, commit: Commit[T]) -> T:
        """Keep a picture that can be read and is not somebody else's. The same file twice is kept once.

        Raises:
            ProntuarioError: what ``ImageReader.inspect`` refuses (409, 413, 415, 422); ``image.empty`` 422; ``fhir.not_found`` 404;
                ``invalid`` 422 for another patient's encounter; ``capability.unavailable`` 503.
        """
        patient = await self.store.read(partial(_subject, upload=upload))
        async with audio.spooled(body, self._spool, max_bytes=MAX_BYTES) as path:
            if not path.stat().st_size:
                raise errors.EMPTY(field="image")
            call = CallOptions(Lane.INTERACTIVE, INSPECT_S, who.user_id, upload.patient_id)
            facts = await self._abilities.image_reader().instance.inspect(path, claim_of(patient), call)
            digest = await to_the_end(_sha256, path)
            key = await self.store.write(lambda tx: self._vault.data_key(tx, scope_of(upload.patient_id)))
            ref = await self._blobs.put(_blocks(path), key)
        named: list[str] = []

        def change(tx: Transaction) -> Image:
            found = rows.known(tx, upload.patient_id, digest)
            image = found or self._name(tx, upload, who, ref, facts=facts, sha256=digest)
            named[:] = [image.blob]
            return image

        try:
            answer = await commit(change)
        except ProntuarioError as error:
            if error.kind.status < _REFUSED:
                await self._blobs.delete(ref)
            raise
        if named != [ref.address]:
            await self._blobs.delete(ref)  # the file, or the answer to this very request, is here already
        return answer

    def _name(
        self, tx: Transaction, upload: Upload, who: Principal, ref: BlobRef, *, facts: ImageFacts, sha256: str
    ) -> Image:
        _subject(tx, upload)
        now = self.now()
        image = Image(
            id=str(uuid.uuid4()), patient_id=upload.patient_id, encounter_id=upload.encounter_id, uploaded_by=who.user_id,
            uploader_name=who.username, practitioner_id=who.practitioner_id, title=upload.title, facts=facts, sha256=sha256,
            size=ref.size, blob=ref.address, key_id=ref.key_id, media_id=str(uuid.uuid4()), uploaded_at=now,
        )  # fmt: skip
        repository.create(tx, media(image), now=now, author=who.user_id, resource_id=image.media_id)
        rows.add_image(tx, image)
        return image

    # -- out --------------------------------------------------------------------------------------------------------
    async def original(self, image: Image) -> AsyncIterator[bytes]:
        """The file as it was sent, decrypted on the way."""
        async for piece in self._opened(BlobRef(image.blob, image.size, image.key_id)):
            yield piece

    async def frame(self, image: Image, number: int, side: int, who: Principal) -> bytes:
        """One frame as a PNG. Raises ``image.frame`` 404, ``capability.unavailable`` 503, engine errors."""
        reader = self._abilities.image_reader().instance
        call = CallOptions(Lane.INTERACTIVE, INSPECT_S, who.user_id, image.patient_id)
        async with self._frames, self._spooled(image) as path:
            return await reader.png(path, number, side, call)

    async def heat_map(self, analysis: Analysis) -> AsyncIterator[bytes]:
        """The heat map's PNG; the analysis has one."""
        ref = BlobRef(analysis.heat_blob or "", analysis.heat_size or 0, analysis.heat_key_id or "")
        async for piece in self._opened(ref):
            yield piece

    def label_sets(self) -> tuple[LabelSet, ...]:
        """What may be asked for. Raises ``image.not_configured`` 503."""
        try:
            return tuple(self._abilities.image_analyser().instance.label_sets())
        except ProntuarioError as error:
            raise errors.NOT_CONFIGURED() from error

    async def _opened(self, ref: BlobRef) -> AsyncIterator[bytes]:
        key = await self.store.read(partial(self._vault.find_key, key_id=ref.key_id))
        async for piece in self._blobs.open(ref, key):
            yield piece

    def _spooled(self, image: Image) -> AbstractAsyncContextManager[Path]:
        return audio.spooled(self.original(image), self._spool, max_bytes=MAX_BYTES)

    # -- looking and deciding -----------------------------------------------------------------------------------------
    def ask(self, tx: Transaction, image_id: str, asked: Asked, who: Principal) -> Analysis:
        """Have a picture looked at.

        Raises:
            ProntuarioError: ``not_found`` 404, ``ai.switched_off`` 403, ``image.not_configured`` 503.
        """
        image = rows.image(tx, image_id)
        require(tx, "images", user_id=who.user_id, patient_id=image.patient_id)
        self.label_sets()
        now = self.now()
        analysis = Analysis(
            id=str(uuid.uuid4()), image_id=image_id, state="waiting", reason=None, asked=asked, asked_by=who.user_id, result=None,
            heat_blob=None, heat_size=None, heat_key_id=None, report_id=None, decision=None, decided_by=None, decided_at=None,
            asked_at=now, changed_at=now,
        )  # fmt: skip
        rows.add_analysis(tx, analysis)
        self._ask(tx, analysis.id)
        return analysis

    def decide(self, tx: Transaction, analysis: Analysis, decision: Decision, who: Principal) -> Analysis:
        """Make the draft final in the name of ``who``, or take it back.

        Raises:
            ProntuarioError: ``image.not_analysed``, ``image.decided`` 409.
        """
        current = rows.analysis(tx, analysis.id)
        if current.state != "done" or current.report_id is None:
            raise errors.NOT_ANALYSED(state=current.state)
        if current.decision is not None:
            raise errors.DECIDED(decision=current.decision)
        now = self.now()
        done = rows.change(tx, current.id, now=now, decision=decision, decided_by=who.user_id, decided_at=now)
        report = repository.read(tx, "DiagnosticReport", current.report_id)
        observed = [str(one["reference"]).rpartition("/")[2] for one in report.get("result", [])]
        for resource in (report, *(repository.read(tx, "Observation", one) for one in observed)):
            repository.update(tx, decided(resource, done, who), now=now, if_match=None, author=who.user_id)
        return done

    def _ask(self, tx: Transaction, analysis_id: str) -> None:
        enqueue(tx, ANALYSE, {"analysis_id": analysis_id}, dedupe=analysis_id)
        tx.after_commit(self._jobs.wake)

    def now(self) -> str:
        """The moment as a FHIR instant."""
        return instant(self._clock.now())


def _subject(q: Query, upload: Upload) -> dict[str, object]:
    """The patient; checks that the encounter is theirs."""
    patient = repository.read(q, "Patient", upload.patient_id)
    if upload.encounter_id is not None:
        encounter = repository.read(q, "Encounter", upload.encounter_id)
        if str(encounter.get("subject", {}).get("reference", "")).rpartition("/")[2] != upload.patient_id:
            raise INVALID(field="encounter", name="encounter", reason="belongs to another patient")
    return patient


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


async def _blocks(path: Path) -> AsyncIterator[bytes]:
    with path.open("rb") as file:
        while block := await to_the_end(file.read, _BLOCK_BYTES):
            yield block
