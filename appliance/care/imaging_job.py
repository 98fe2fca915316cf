"""The job that has a picture looked at."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from appliance.care import imaging_rows as rows
from appliance.care.ai_switches import require
from appliance.care.dictations import scope_of
from appliance.care.imaging_forms import claim_of, observations, report
from appliance.care.imaging_model import Analysis, Image, Result
from appliance.plugin_api.engine import CallOptions, Lane
from appliance.plugin_api.errors import ProntuarioError
from appliance.plugin_api.images import ImageAnalysis, ImageOptions
from appliance.plugin_api.storage import Store, Transaction
from appliance.plugin_host.choice import Abilities
from appliance.records import repository
from appliance.security.vault import Vault
from appliance.store.blobs import BlobRef, BlobStore
from appliance.store.jobs import Job, JobQueue
from appliance.telemetry.clock import Clock, instant
from appliance.telemetry.logs import get_logger

log = get_logger("imaging")
ANALYSE: Final = "care.analyse_image"
"""Kind of the job."""
MAX_ATTEMPTS: Final = 5
AT_ONCE: Final = 4
LIMIT_S: Final = 1800.0
_WAIT_S: Final = 600.0
_HOPELESS: Final = frozenset({"vault.erased", "blob.missing", "blob.damaged"})
"""Besides every 4xx but "busy": trying again in a moment changes nothing."""
_BUSY: Final = 429
_SERVER: Final = 500
Spooled = Callable[[Image], AbstractAsyncContextManager[Path]]


@dataclass(frozen=True)
class ImageAnalysing:
    """Handles jobs of kind ``care.analyse_image``. ``spooled`` gives an original as a file for as long as it is needed."""

    store: Store
    blobs: BlobStore
    vault: Vault
    abilities: Abilities
    clock: Clock
    spooled: Spooled

    def register(self, jobs: JobQueue) -> None:
        """Say that this handles them."""
        jobs.register(ANALYSE, self.run, max_attempts=MAX_ATTEMPTS, limit_s=LIMIT_S, at_once=AT_ONCE)

    async def run(self, job: Job) -> None:
        """Look; safe to repeat at any point. In the end there is a draft report, or the reason why there is none."""
        asked = await self.store.read(partial(rows.analysis, analysis_id=str(job.payload["analysis_id"])))
        if asked.state != "waiting":
            return
        image = await self.store.read(partial(rows.image, image_id=asked.image_id))
        try:
            await self._look(asked, image)
        except ProntuarioError as error:
            status = error.kind.status
            hopeless = (status < _SERVER and status != _BUSY) or error.kind.code in _HOPELESS
            if not hopeless and job.attempt < MAX_ATTEMPTS:
                raise
            await self.store.write(partial(self._give_up, asked.id, error.kind.code))
            log.warning("an image was not analysed", analysis_id=asked.id, code=error.kind.code)

    async def _look(self, asked: Analysis, image: Image) -> None:
        who, patient_id, wanted = asked.asked_by, image.patient_id, asked.asked
        await self.store.read(partial(require, function="images", user_id=who, patient_id=patient_id))
        choice = self.abilities.image_analyser()
        patient = await self.store.read(lambda q: repository.read(q, "Patient", patient_id))
        options = ImageOptions(wanted.label_set, wanted.frames, claim_of(patient), wanted.heat_map, wanted.description)
        async with self.spooled(image) as path:
            found = await choice.instance.analyse(path, options, CallOptions(Lane.BACKGROUND, _WAIT_S, who, patient_id))
        model = choice.instance.model()
        result = _result(found, demonstration=model.demonstration, degraded=choice.degraded)
        heat = await self._heat(patient_id, found)
        kept = await self.store.write(partial(self._keep, asked.id, image, result, heat))
        if not kept and heat is not None:
            await self.blobs.delete(heat)
        log.info("image analysed", analysis_id=asked.id, frames=len(result.frames), labels=len(result.findings))

    async def _heat(self, patient_id: str, found: ImageAnalysis) -> BlobRef | None:
        if found.heat_map is None:
            return None
        key = await self.store.write(lambda tx: self.vault.data_key(tx, scope_of(patient_id)))
        return await self.blobs.put(_once(found.heat_map.png), key)

    def _keep(self, analysis_id: str, image: Image, result: Result, heat: BlobRef | None, tx: Transaction) -> bool:
        if rows.analysis(tx, analysis_id).state != "waiting":
            return False
        now = instant(self.clock.now())
        observed = [str(repository.create(tx, one, now=now)["id"]) for one in observations(image, result, now)]
        made = repository.create(tx, report(image, result, observed, now), now=now)
        columns = (
            {} if heat is None else {"heat_blob": heat.address, "heat_size": heat.size, "heat_key_id": heat.key_id}
        )
        rows.change(tx, analysis_id, now=now, state="done", result=result, report_id=str(made["id"]), **columns)
        return True

    def _give_up(self, analysis_id: str, code: str, tx: Transaction) -> None:
        if rows.analysis(tx, analysis_id).state == "waiting":
            rows.change(tx, analysis_id, now=instant(self.clock.now()), state="failed", reason=code)


def _result(found: ImageAnalysis, *, demonstration: bool, degraded: bool) -> Result:
    return Result(
        label_set=found.label_set,
        findings=found.findings,
        frames=found.frames,
        cautions=found.cautions,
        description=found.description,
        model_id=found.model_id,
        model_sha256=found.model_sha256,
        demonstration=demonstration,
        degraded=degraded,
        described_by=found.described_by,
        heat_label="" if found.heat_map is None else found.heat_map.label,
        heat_frame=0 if found.heat_map is None else found.heat_map.frame,
    )


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data
