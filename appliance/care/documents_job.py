"""The job that reads a document."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

from appliance.care import documents_rows as rows
from appliance.care.documents_model import Document
from appliance.plugin_api.engine import CallOptions, Lane
from appliance.plugin_api.errors import ProntuarioError
from appliance.plugin_api.paper import LabReport, PaperPage
from appliance.plugin_api.storage import Store, Transaction
from appliance.plugin_host.choice import Abilities
from appliance.store.jobs import Job, JobQueue
from appliance.telemetry.clock import Clock, instant
from appliance.telemetry.logs import get_logger

log = get_logger("documents")
READ: Final = "care.read_document"
"""Kind of the job."""
MAX_ATTEMPTS: Final = 3
AT_ONCE: Final = 2
LIMIT_S: Final = 3600.0
_WAIT_S: Final = 900.0
_HOPELESS: Final = frozenset({"document.no_recogniser", "vault.erased", "blob.missing", "blob.damaged"})
"""Besides every 4xx but "busy": trying again in a moment changes nothing."""
_SERVER: Final = 500
_BUSY: Final = 429


@dataclass(frozen=True)
class DocumentReading:
    """Handles jobs of kind ``care.read_document``."""

    store: Store
    abilities: Abilities
    clock: Clock
    original: Callable[[Document], AsyncIterator[bytes]]

    def register(self, jobs: JobQueue) -> None:
        """Say that this handles them."""
        jobs.register(READ, self.run, max_attempts=MAX_ATTEMPTS, limit_s=LIMIT_S, at_once=AT_ONCE)

    async def run(self, job: Job) -> None:
        """Read; safe to repeat at any point. In the end the document is read, or says why not."""
        document_id = str(job.payload["document_id"])
        document = await self.store.read(partial(rows.get, document_id=document_id))
        if document.state != "reading":
            return
        try:
            pages, report, reader = await self._read(document)
        except ProntuarioError as error:
            if not _is_hopeless(error) and job.attempt < MAX_ATTEMPTS:
                raise
            await self.store.write(partial(self._give_up, document_id, error.kind.code))
            log.warning("a document could not be read", document_id=document_id, code=error.kind.code)
            return
        await self.store.write(partial(self._keep, document_id, pages, report, reader))
        log.info("document read", document_id=document_id, pages=len(pages), proposals=len(report.values))

    async def _read(self, document: Document) -> tuple[list[PaperPage], LabReport, str]:
        data = b"".join([piece async for piece in self.original(document)])
        choice = self.abilities.document_reader()
        call = CallOptions(Lane.BACKGROUND, _WAIT_S, document.uploaded_by, document.patient_id)
        pages = [page async for page in choice.instance.read(data, call)]
        return pages, choice.instance.lab_report(pages), f"{choice.plugin}.{choice.instance.model().id}"

    def _keep(self, document_id: str, pages: list[PaperPage], report: LabReport, reader: str, tx: Transaction) -> None:
        if rows.get(tx, document_id).state == "reading":
            rows.keep_reading(tx, document_id, pages, report, reader=reader, now=instant(self.clock.now()))

    def _give_up(self, document_id: str, code: str, tx: Transaction) -> None:
        if rows.get(tx, document_id).state == "reading":
            rows.move(tx, document_id, "failed", now=instant(self.clock.now()), reason=code)


def _is_hopeless(error: ProntuarioError) -> bool:
    status = error.kind.status
    return (status < _SERVER and status != _BUSY) or error.kind.code in _HOPELESS
