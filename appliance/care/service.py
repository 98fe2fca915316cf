"""Clinical work of one node: what the API calls, over the parts of this folder."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

from appliance.care import audio, dictations, draft_job, errors, export, notes, signatures, transcription, transcripts
from appliance.care.documents import Documents
from appliance.care.draft_job import Drafting
from appliance.care.imaging import Images
from appliance.care.intake import Intake
from appliance.care.live import LiveHearing
from appliance.care.model import Dictation, Note
from appliance.care.progress import Broker
from appliance.care.record_forms import audio_document
from appliance.care.templates import shelf
from appliance.care.transcription import Transcription
from appliance.config.model import Dictation as Limits
from appliance.plugin_api.errors import INVALID
from appliance.plugin_api.http import Principal
from appliance.plugin_api.storage import Query, Store, Transaction
from appliance.plugin_host.choice import Abilities
from appliance.records import repository
from appliance.security.signing import Signature
from appliance.security.vault import Vault
from appliance.store.blobs import BlobStore
from appliance.store.jobs import JobQueue
from appliance.telemetry.clock import Clock, instant

T = TypeVar("T")
TRANSCRIPTIONS_AT_ONCE: Final = 8
DRAFTS_AT_ONCE: Final = 16
RESUMED_AT_START: Final = 10_000


class Consults:
    """Dictations and notes. Its methods on a transaction are given to ``Request.commit`` or ``Store.write``."""

    def __init__(
        self,
        *,
        store: Store,
        blobs: BlobStore,
        vault: Vault,
        abilities: Abilities,
        jobs: JobQueue,
        clock: Clock,
        limits: Limits,
        spool: Path,
        template: str = shelf.DEFAULT,
        broker: Broker | None = None,
    ) -> None:
        self.store = store
        self.broker = broker or Broker()
        self.intake = Intake(store=store, blobs=blobs, vault=vault, limits=limits, clock=clock, broker=self.broker)
        self.live = LiveHearing(store=store, intake=self.intake, abilities=abilities, clock=clock, broker=self.broker)
        self._vault = vault
        self._clock = clock
        self._jobs = jobs
        self.template = template
        self.abilities = abilities
        transcribe = Transcription(store, self.intake, abilities, clock, self.broker, spool)
        draft = Drafting(store, abilities, clock, self.broker)
        self.documents = Documents(store=store, blobs=blobs, vault=vault, abilities=abilities, jobs=jobs, clock=clock)
        self.images = Images(
            store=store, blobs=blobs, vault=vault, abilities=abilities, jobs=jobs, clock=clock, spool=spool
        )
        self._spool = spool
        jobs.register(
            dictations.TRANSCRIBE,
            self._then_wake(transcribe.run),
            max_attempts=transcription.MAX_ATTEMPTS,
            limit_s=transcription.LIMIT_S,
            at_once=TRANSCRIPTIONS_AT_ONCE,
        )
        jobs.register(transcripts.DRAFT, draft.run, max_attempts=draft_job.MAX_ATTEMPTS, at_once=DRAFTS_AT_ONCE)

    def _then_wake(self, run: Callable[..., Any]) -> Callable[..., Any]:
        async def handler(job: Any) -> None:
            await run(job)
            self._jobs.wake()  # the draft is due now

        return handler

    async def start(self) -> None:
        """After ``JobQueue.start``: see to it that every dictation under way has its job, and sweep the spool."""
        await asyncio.to_thread(audio.sweep, self._spool)
        await self.store.write(self._resume)
        self._jobs.wake()

    async def stop(self) -> None:
        """Let go of the dictations that are being heard live. Safe to call twice."""
        await self.live.stop()

    def _resume(self, tx: Transaction) -> None:
        self.documents.resume(tx)
        self.images.resume(tx)
        for state in ("complete", "transcribing", "drafting"):
            for dictation in dictations.find(tx, state=state, limit=RESUMED_AT_START):
                self._pursue(tx, dictation)

    # -- dictations -----------------------------------------------------------------------------------------------
    def open(
        self,
        tx: Transaction,
        author: Principal,
        *,
        patient_id: str,
        encounter_id: str,
        language: str,
        template: str = "",
    ) -> Dictation:
        """Open a dictation for an existing patient in one of their encounters; ``template`` empty: the node's own choice.

        Raises:
            ProntuarioError: ``fhir.not_found`` 404, ``fhir.gone`` 410, ``invalid`` 422 when the encounter is another's,
                ``template.unknown`` 404.
        """
        repository.read(tx, "Patient", patient_id)
        encounter = repository.read(tx, "Encounter", encounter_id)
        subject = str(encounter.get("subject", {}).get("reference", ""))
        if subject.rpartition("/")[2] != patient_id:
            raise INVALID(field="encounter", name="encounter", reason="belongs to another patient")
        key = self._vault.data_key(tx, dictations.scope_of(patient_id))
        return dictations.open_dictation(
            tx,
            patient_id=patient_id,
            encounter_id=encounter_id,
            author=author,
            key_id=key.key_id,
            language=language,
            template=shelf.get(tx, author.user_id, template or self.template).name,
            now=self.now(),
        )

    def complete(self, tx: Transaction, dictation_id: str, user_id: str, total_chunks: int) -> Dictation:
        """Close the recording, write its DocumentReference, start the transcription.

        Raises:
            ProntuarioError: see ``dictations.complete``.
        """
        dictation = dictations.own(tx, dictation_id, user_id)
        dictations.check_complete(tx, dictation, total_chunks)
        document_id = dictation.document_id
        if document_id is None:
            created = repository.create(tx, audio_document(dictation, self.now()), now=self.now(), author=user_id)
            document_id = str(created["id"])
        done = dictations.complete(
            tx, dictation_id, user_id, total_chunks=total_chunks, document_id=document_id, now=self.now()
        )
        tx.after_commit(self._jobs.wake)
        tx.after_commit(partial(self.broker.publish, dictation_id, "state", state=done.state))
        return done

    def retry(self, tx: Transaction, dictation_id: str) -> Dictation:
        """Go on with a dictation that failed, heard no speech, or waits for a job that was given up.

        Raises:
            ProntuarioError: ``dictation.not_retryable`` 409.
        """
        dictation = dictations.get(tx, dictation_id)
        if dictation.state in ("open", "drafted"):
            raise errors.NOT_RETRYABLE(state=dictation.state)
        if dictation.state in ("failed", "no_speech"):
            dictations.move(tx, dictation_id, "complete", now=self.now(), reason=None)
        self._pursue(tx, dictations.get(tx, dictation_id))
        tx.after_commit(self._jobs.wake)
        return dictations.get(tx, dictation_id)

    def _pursue(self, tx: Transaction, dictation: Dictation) -> None:
        ask = transcripts.ask_for_draft if dictation.state == "drafting" else dictations.ask_for_transcript
        ask(tx, dictation.id)

    # -- notes ----------------------------------------------------------------------------------------------------
    def sign(self, tx: Transaction, note_id: str, signer: Principal, given: Signature | None) -> Note:
        """Sign a reviewed note; see ``signatures.sign``."""
        now = self._clock.now()
        note = signatures.sign(tx, self._vault, note_id, signer, given=given, now=now, moment=instant(now))
        self.tell(tx, note)
        return note

    def tell(self, tx: Transaction, note: Note) -> None:
        """Tell who follows the dictation about the note's new state."""
        told = {"note_id": note.id, "state": note.state, "version": note.version}
        tx.after_commit(partial(self.broker.publish, note.dictation_id, "note", **told))

    def export(self, q: Query, note_id: str) -> dict[str, Any]:
        """The signed note as a document; see ``export.bundle``."""
        return export.bundle(q, note_id, self.now())

    def now(self) -> str:
        """The moment as a FHIR instant."""
        return instant(self._clock.now())


__all__ = ["Consults", "notes"]
