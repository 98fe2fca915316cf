"""Paper into the record: the original is kept, its reading proposes, a person decides; only then is there an Observation."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Final, TypeVar

import msgspec

from appliance.care import documents_errors as errors
from appliance.care import documents_rows as rows
from appliance.care.ai_switches import OFF, require
from appliance.care.dictations import scope_of
from appliance.care.documents_forms import is_loinc, observation, paper_reference
from appliance.care.documents_identity import warnings
from appliance.care.documents_job import READ, DocumentReading
from appliance.care.documents_model import Document, DocumentState, Edits, Proposal, Warned
from appliance.plugin_api.engine import CallOptions, Lane
from appliance.plugin_api.errors import INVALID, ProntuarioError
from appliance.plugin_api.http import Principal
from appliance.plugin_api.storage import Query, Store, Transaction
from appliance.plugin_host.choice import Abilities
from appliance.records import repository
from appliance.security.vault import Vault
from appliance.store.blobs import BlobRef, BlobStore
from appliance.store.jobs import JobQueue, enqueue
from appliance.telemetry.clock import Clock, instant

T = TypeVar("T")
Commit = Callable[[Callable[[Transaction], Document]], Awaitable[T]]
"""Runs the function in a durable transaction and gives the caller's own kind of answer."""
INSPECT_S: Final = 60.0
RESUMED_AT_START: Final = 1000
_REFUSED: Final = 500
"""Errors below this status mean that nothing was written; above it one can't know."""
_SERIOUS: Final = frozenset({"name_differs", "birth_date_differs"})


class Upload(msgspec.Struct, frozen=True):
    """A file as it arrived, for a patient and perhaps one of their encounters."""

    patient_id: str
    encounter_id: str | None
    title: str
    data: bytes


class Documents:
    """The documents of one node."""

    def __init__(
        self, *, store: Store, blobs: BlobStore, vault: Vault, abilities: Abilities, jobs: JobQueue, clock: Clock
    ) -> None:
        self.store = store
        self._blobs, self._vault, self._abilities = blobs, vault, abilities
        self._jobs, self._clock = jobs, clock
        DocumentReading(store, abilities, clock, self.original).register(jobs)

    def resume(self, tx: Transaction) -> None:
        """After a restart: every document that is to be read has its job."""
        for document in rows.waiting(tx, RESUMED_AT_START):
            self._ask(tx, document.id)

    # -- in ---------------------------------------------------------------------------------------------------------
    async def keep(self, upload: Upload, who: Principal, commit: Commit[T]) -> T:
        """Keep the original, and ask for its reading unless that is switched off. The same file twice is kept once.

        Raises:
            ProntuarioError: what ``DocumentReader.inspect`` refuses (413, 415, 422); ``document.empty`` 422;
                ``fhir.not_found`` 404; ``invalid`` 422 for another patient's encounter; ``capability.unavailable`` 503.
        """
        if not upload.data:
            raise errors.EMPTY(field="document")
        await self.store.read(partial(_check_subject, upload=upload))
        reader = self._abilities.document_reader().instance
        call = CallOptions(Lane.INTERACTIVE, INSPECT_S, who.user_id, upload.patient_id)
        facts = await reader.inspect(upload.data, call)
        key = await self.store.write(lambda tx: self._vault.data_key(tx, scope_of(upload.patient_id)))
        ref = await self._blobs.put(_once(upload.data), key)
        digest = hashlib.sha256(upload.data).hexdigest()
        named: list[str] = []

        def change(tx: Transaction) -> Document:
            found = rows.known(tx, upload.patient_id, digest)
            document = found or self._name(
                tx, upload, who, ref, sha256=digest, media_type=facts.media_type, pages=facts.pages
            )
            named[:] = [document.blob]
            return document

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
        self, tx: Transaction, upload: Upload, who: Principal, ref: BlobRef, *, sha256: str, media_type: str, pages: int
    ) -> Document:
        _check_subject(tx, upload)
        now, (state, reason) = self.now(), self._first_state(tx, who, upload.patient_id)
        document = Document(
            id=str(uuid.uuid4()), patient_id=upload.patient_id, encounter_id=upload.encounter_id, uploaded_by=who.user_id,
            uploader_name=who.username, practitioner_id=who.practitioner_id, title=upload.title, media_type=media_type,
            sha256=sha256, size=len(upload.data), blob=ref.address, key_id=ref.key_id, pages=pages, state=state,
            reason=reason, resource_id=str(uuid.uuid4()), reader=None, uploaded_at=now, changed_at=now,
        )  # fmt: skip
        repository.create(tx, paper_reference(document), now=now, author=who.user_id, resource_id=document.resource_id)
        rows.add(tx, document)
        if state == "reading":
            self._ask(tx, document.id)
        return document

    def _first_state(self, tx: Transaction, who: Principal, patient_id: str) -> tuple[DocumentState, str | None]:
        try:
            require(tx, "reading", user_id=who.user_id, patient_id=patient_id)
        except ProntuarioError as error:
            if error.kind is not OFF:
                raise
            return "kept", error.kind.code
        return "reading", None

    def read_again(self, tx: Transaction, document_id: str, who: Principal) -> Document:
        """Read a document that was only kept, or whose reading failed.

        Raises:
            ProntuarioError: ``document.not_retryable`` 409, ``ai.switched_off`` 403.
        """
        document = rows.get(tx, document_id)
        if document.state not in ("kept", "failed"):
            raise errors.NOT_RETRYABLE(state=document.state)
        require(tx, "reading", user_id=who.user_id, patient_id=document.patient_id)
        rows.move(tx, document_id, "reading", now=self.now())
        self._ask(tx, document_id)
        return rows.get(tx, document_id)

    def _ask(self, tx: Transaction, document_id: str) -> None:
        enqueue(tx, READ, {"document_id": document_id}, dedupe=document_id)
        tx.after_commit(self._jobs.wake)

    # -- out --------------------------------------------------------------------------------------------------------
    async def original(self, document: Document) -> AsyncIterator[bytes]:
        """The file as it was sent, decrypted on the way."""
        key = await self.store.read(partial(self._vault.find_key, key_id=document.key_id))
        async for piece in self._blobs.open(BlobRef(document.blob, document.size, document.key_id), key):
            yield piece

    def warnings(self, q: Query, document: Document) -> list[Warned]:
        """What about the paper's identity a person should look at."""
        return warnings(rows.report(q, document.id), repository.read(q, "Patient", document.patient_id))

    # -- decisions --------------------------------------------------------------------------------------------------
    def confirm(self, tx: Transaction, document_id: str, number: int, edits: Edits, who: Principal) -> Proposal:
        """Write the Observation that ``who`` answers for.

        Raises:
            ProntuarioError: ``not_found`` 404, ``document.not_read``, ``document.decided``,
                ``document.identity_unchecked`` 409, ``document.value_missing``, ``invalid`` 422.
        """
        document, proposal = self._open(tx, document_id, number)
        value = edits.value or proposal.proposed.value
        if not value:
            raise errors.VALUE_MISSING(field="value")
        if edits.loinc and not is_loinc(edits.loinc):
            raise INVALID(field="loinc", name="loinc", reason="its check digit is wrong")
        if not edits.identity_checked and any(one.code in _SERIOUS for one in self.warnings(tx, document)):
            raise errors.NOT_OURS(field="identity_checked")
        now = self.now()
        resource = observation(
            document, proposal, edits, who, value=value, report=rows.report(tx, document_id), now=now
        )
        created = repository.create(tx, resource, now=now, author=who.user_id)
        return rows.decide(tx, proposal, "confirmed", who=who.user_id, now=now, observation_id=str(created["id"]))

    def reject(self, tx: Transaction, document_id: str, number: int, who: Principal) -> Proposal:
        """Say that nothing comes of it.

        Raises:
            ProntuarioError: ``not_found`` 404, ``document.not_read``, ``document.decided`` 409.
        """
        _, proposal = self._open(tx, document_id, number)
        return rows.decide(tx, proposal, "rejected", who=who.user_id, now=self.now())

    def _open(self, tx: Transaction, document_id: str, number: int) -> tuple[Document, Proposal]:
        document = rows.get(tx, document_id)
        rows.require_read(document)
        proposal = rows.proposal(tx, document_id, number)
        if proposal.state != "proposed":
            raise errors.DECIDED(state=proposal.state)
        return document, proposal

    def now(self) -> str:
        """The moment as a FHIR instant."""
        return instant(self._clock.now())


def _check_subject(q: Query, upload: Upload) -> None:
    repository.read_stored(q, "Patient", upload.patient_id)
    if upload.encounter_id is not None:
        encounter = repository.read(q, "Encounter", upload.encounter_id)
        if str(encounter.get("subject", {}).get("reference", "")).rpartition("/")[2] != upload.patient_id:
            raise INVALID(field="encounter", name="encounter", reason="belongs to another patient")


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data
