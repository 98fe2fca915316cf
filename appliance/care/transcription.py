"""The job that turns a completed dictation into a transcript.

Segments are kept as they become final, some of them while the recording was still open (``live``). Every attempt goes on
after the last final segment, so nothing doubles and nothing that was told changes. The recording lies in the clear only in the
spool folder, for as long as it is decoded.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from appliance.care import audio, dictations, transcripts
from appliance.care.ai_switches import require
from appliance.care.audio_errors import AUDIO_TRUNCATED
from appliance.care.errors import SUPERSEDED
from appliance.care.intake import Intake
from appliance.care.model import Ai, Dictation, Segment
from appliance.care.progress import Broker
from appliance.care.vocabulary import hint_for
from appliance.plugin_api import capabilities
from appliance.plugin_api.engine import CallOptions, Lane
from appliance.plugin_api.errors import INTERNAL, ProntuarioError
from appliance.plugin_api.storage import Store, Transaction
from appliance.plugin_host.choice import Abilities, Choice
from appliance.store.jobs import Job, PermanentFailure
from appliance.telemetry.clock import Clock, instant
from appliance.telemetry.logs import get_logger

log = get_logger("transcription")
MAX_ATTEMPTS: Final = 9
"""Two minutes at least: an engine that died too often rests for half a minute and then loads its model, and nobody should have to
ask again for what was dictated meanwhile."""
LIMIT_S: Final = 6 * 3600.0
_TRANSIENT: Final = frozenset({429, 500, 502, 503, 504, 507})
_SECONDS_PER_HOUR: Final = 3600


class Heard:
    """Decoded audio on its way to the recogniser: counts the seconds and remembers whether it was cut short."""

    def __init__(self, blocks: AsyncIterator[bytes]) -> None:
        self._blocks = blocks
        self.bytes = 0
        self.truncated = False

    @property
    def seconds(self) -> float:
        return self.bytes / audio.BYTES_PER_SECOND

    async def stream(self) -> AsyncIterator[bytes]:
        """The blocks; a cut end is an end, not an error: what was said before it counts."""
        try:
            async for block in self._blocks:
                self.bytes += len(block)
                yield block
        except ProntuarioError as error:
            if error.kind is not AUDIO_TRUNCATED or not self.bytes:
                raise
            self.truncated = True


@dataclass(frozen=True)
class Transcription:
    """Handles jobs of kind ``care.transcribe``."""

    store: Store
    intake: Intake
    abilities: Abilities
    clock: Clock
    broker: Broker
    spool: Path

    async def run(self, job: Job) -> None:
        """Transcribe; safe to repeat at any point.

        Raises:
            ProntuarioError: something passing (busy, restarting, no model yet): the queue tries again.
            PermanentFailure: the audio can't be used; the dictation says why, and the audio is kept.
        """
        dictation_id = str(job.payload["dictation_id"])
        dictation = await self.store.write(partial(self._begin, dictation_id))
        if dictation is None:
            return
        try:
            await self._transcribe(dictation)
        except (ProntuarioError, OSError) as error:
            kind = error.kind if isinstance(error, ProntuarioError) else INTERNAL
            if kind is SUPERSEDED:
                return
            if kind.status in _TRANSIENT and job.attempt < MAX_ATTEMPTS:
                raise
            log.warning("a dictation can't be transcribed", dictation_id=dictation_id, code=kind.code)
            await self.store.write(partial(self._fail, dictation_id, kind.code))
            raise PermanentFailure(kind.code) from error

    async def _transcribe(self, dictation: Dictation) -> None:
        allowed = partial(require, function="transcription", user_id=dictation.author, patient_id=dictation.patient_id)
        await self.store.read(allowed)
        choice = self.abilities.speech_to_text()
        limits = self.intake.limits
        recording = self.intake.audio(dictation.id)
        async with (
            audio.spooled(recording, self.spool, max_bytes=limits.max_audio_bytes) as path,
            aclosing(audio.decode(path, max_hours=limits.max_hours)) as blocks,  # type: ignore[type-var]
        ):
            heard = Heard(blocks)
            await self._listen(dictation, choice, heard)
        await self.store.write(partial(self._finish, dictation, _origin(choice), heard))
        log.info("dictation transcribed", dictation_id=dictation.id, audio_s=round(heard.seconds, 1))

    async def _listen(self, dictation: Dictation, choice: Choice[capabilities.SpeechToText], heard: Heard) -> None:
        with self.broker.queueing(dictation.id) as on_queue:
            call = CallOptions(
                lane=Lane.INTERACTIVE,
                deadline_s=self.intake.limits.max_hours * _SECONDS_PER_HOUR,
                user=dictation.author,
                patient=dictation.patient_id,
                on_queue=on_queue,
            )
            await self._keep(dictation, choice, heard, call)

    async def _keep(
        self, dictation: Dictation, choice: Choice[capabilities.SpeechToText], heard: Heard, call: CallOptions
    ) -> None:
        model = choice.instance.model().sha256
        go_on = partial(transcripts.resume, dictation=dictation, model_sha256=model, now=self._now())
        number, after = await self.store.write(go_on)
        hint = await self.store.read(partial(hint_for, dictation, choice.instance.model()))
        options = capabilities.TranscriptionOptions(language=dictation.language, prompt=hint, skip_until=after)
        async with aclosing(choice.instance.transcribe(heard.stream(), options, call)) as spoken:  # type: ignore[type-var]
            async for utterance in spoken:
                segment = transcripts.next_segment(number, after, utterance)
                if segment is not None:
                    await self.store.write(partial(self._add, dictation, segment))
                    number += 1

    def _begin(self, dictation_id: str, tx: Transaction) -> Dictation | None:
        dictation = transcripts.begin(tx, dictation_id, self._now())
        if dictation is not None:
            tx.after_commit(partial(self.broker.publish, dictation_id, "state", state=dictation.state))
        return dictation

    def _add(self, dictation: Dictation, segment: Segment, tx: Transaction) -> None:
        transcripts.add(tx, dictation, [segment], self._now())
        tx.after_commit(partial(self.broker.publish, dictation.id, "segment", **transcripts.told(segment)))

    def _finish(self, dictation: Dictation, ai: Ai, heard: Heard, tx: Transaction) -> None:
        done = transcripts.finish(
            tx, dictation, ai=ai, audio_s=heard.seconds, truncated=heard.truncated, now=self._now()
        )
        tx.after_commit(partial(self.broker.publish, dictation.id, "state", state=done.state, reason=done.reason))

    def _fail(self, dictation_id: str, reason: str, tx: Transaction) -> None:
        if dictations.get(tx, dictation_id).state == "transcribing":
            transcripts.fail(tx, dictation_id, reason, self._now())
            tx.after_commit(partial(self.broker.publish, dictation_id, "state", state="failed", reason=reason))

    def _now(self) -> str:
        return instant(self.clock.now())


def _origin(choice: Choice[capabilities.SpeechToText]) -> Ai:
    model = choice.instance.model()
    return Ai(model.id, model.sha256, demonstration_model=model.demonstration, degraded=choice.degraded)
