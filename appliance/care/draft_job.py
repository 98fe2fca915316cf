"""The job that drafts the note of a finished transcript."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Final

import msgspec

from appliance.care import dictations, notes, transcripts
from appliance.care.ai_switches import OFF, require
from appliance.care.drafting import verbatim, write_draft
from appliance.care.model import Content, Dictation, Layout
from appliance.care.progress import Broker
from appliance.care.templates import shelf
from appliance.care.transcripts import Transcript
from appliance.plugin_api.engine import CallOptions, Lane
from appliance.plugin_api.errors import ProntuarioError
from appliance.plugin_api.storage import Query, Store, Transaction
from appliance.plugin_host.choice import Abilities
from appliance.store.jobs import Job
from appliance.telemetry.clock import Clock, instant
from appliance.telemetry.logs import get_logger

log = get_logger("drafting")
MAX_ATTEMPTS: Final = 8
PATIENT_ATTEMPTS: Final = 3
"""How often a busy or restarting model is waited for before the transcript itself becomes the draft."""
DEADLINE_S: Final = 600.0
_OFF: Final = frozenset({"capability.unavailable", OFF.code})


@dataclass(frozen=True)
class Drafting:
    """Handles jobs of kind ``care.draft``."""

    store: Store
    abilities: Abilities
    clock: Clock
    broker: Broker

    async def run(self, job: Job) -> None:
        """Draft; safe to repeat at any point. There is always a note in the end, if need be the speech itself."""
        dictation_id = str(job.payload["dictation_id"])
        dictation = await self.store.read(lambda q: dictations.get(q, dictation_id))
        if dictation.state != "drafting":
            return
        transcript = await self.store.read(lambda q: transcripts.get(q, dictation))
        content = await self._content(dictation, transcript, job.attempt)
        await self.store.write(partial(self._keep, dictation_id, content))
        log.info("note drafted", dictation_id=dictation_id, segments=len(transcript.segments))

    async def _content(self, dictation: Dictation, transcript: Transcript, attempt: int) -> Content:
        author, patient = dictation.author, dictation.patient_id
        try:
            await self.store.read(partial(require, function="draft", user_id=author, patient_id=patient))
            choice = self.abilities.chat_model()
            with self.broker.queueing(dictation.id) as on_queue:
                call = CallOptions(
                    lane=Lane.INTERACTIVE,
                    deadline_s=DEADLINE_S,
                    user=author,
                    patient=patient,
                    on_queue=on_queue,
                    whole=True,
                )
                return await write_draft(transcript.segments, transcript.sha256, choice, call)
        except ProntuarioError as error:
            if error.kind.code not in _OFF and attempt < PATIENT_ATTEMPTS:
                raise
            log.warning("the transcript becomes the draft", dictation_id=dictation.id, code=error.kind.code)
            return verbatim(transcript.segments, transcript.sha256, error.kind.code)

    def _keep(self, dictation_id: str, content: Content, tx: Transaction) -> None:
        dictation = dictations.get(tx, dictation_id)
        if dictation.state != "drafting":
            return
        now = instant(self.clock.now())
        arranged = msgspec.structs.replace(content, layout=layout_for(tx, dictation))
        note = notes.create(tx, dictation, arranged, author="", now=now)
        dictations.move(tx, dictation_id, "drafted", now=now, note_id=note.id)
        tx.after_commit(partial(self.broker.publish, dictation_id, "state", state="drafted", note_id=note.id))


def layout_for(q: Query, dictation: Dictation) -> Layout:
    """The template of the dictation as its author has it now; one that was taken back since gives way to SOAP."""
    try:
        return shelf.get(q, dictation.author, dictation.template).layout
    except ProntuarioError as error:
        log.warning("the template is gone, SOAP stands in", dictation_id=dictation.id, code=error.kind.code)
        return shelf.Template(shelf.DEFAULT, 0, shelf.builtin()[shelf.DEFAULT]).layout
