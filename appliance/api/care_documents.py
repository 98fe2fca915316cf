"""Paper over HTTP: hand in, follow the reading, see what is proposed, confirm or reject each value."""

from __future__ import annotations

from functools import partial
from typing import Final

from appliance.api import care_documents_shapes as shapes
from appliance.api.care_shapes import bare_id
from appliance.care import documents_rows as rows
from appliance.care.documents import Documents, Upload
from appliance.care.documents_model import Document, Edits
from appliance.config.model import MIB
from appliance.plugin_api.errors import INVALID
from appliance.plugin_api.http import AnyRoute, Reply, Request, Route
from appliance.plugin_api.storage import Query, Transaction

TAG: Final = "documents"
MAX_BYTES: Final = 32 * MIB
MAX_LISTED: Final = 200
UPLOAD_TIMEOUT_S: Final = 120.0
_LONGEST_TITLE: Final = 200


class DocumentRoutes:
    """Handlers over one node's documents."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents

    def routes(self) -> list[AnyRoute]:
        """All of them."""
        base, one = "/api/documents", "/api/documents/{document_id}"
        proposal = one + "/proposals/{number}"
        return [
            Route("POST", base, "record.write", self.upload, "Hand in a PDF or a photo (raw bytes; patient, encounter, title)",
                  None, shapes.DocumentView, TAG, max_body_bytes=MAX_BYTES, body_timeout_s=UPLOAD_TIMEOUT_S),
            Route("GET", base, "record.read", self.list, "A patient's documents", None, shapes.DocumentList, TAG),
            Route("GET", one, "record.read", self.read, "State of a document", None, shapes.DocumentView, TAG),
            Route("GET", one + "/original", "record.read", self.original, "The file as it was handed in", None, None, TAG),
            Route("GET", one + "/reading", "record.read", self.reading, "Pages and words with places and confidence (page)",
                  None, shapes.ReadingView, TAG),
            Route("POST", one + "/retry", "record.write", self.retry, "Read a document that was only kept, or failed",
                  None, shapes.DocumentView, TAG),
            Route("GET", one + "/proposals", "record.read", self.proposals, "Laboratory values proposed from it, and warnings",
                  None, shapes.ProposalsView, TAG),
            Route("POST", proposal + "/confirm", "record.write", self.confirm, "Confirm a value: it becomes an Observation",
                  Edits, shapes.ProposalView, TAG),
            Route("POST", proposal + "/reject", "record.write", self.reject, "Reject a value", None, shapes.ProposalView, TAG),
        ]  # fmt: skip

    async def upload(self, request: Request) -> Reply:
        """``POST /api/documents?patient=&encounter=&title=``; 200 instead of 201 when the patient has this file already."""
        patient_id = _patient(request)
        encounter = request.query.get("encounter")
        title = request.query.get("title", "").strip() or "Documento"
        if len(title) > _LONGEST_TITLE:
            raise INVALID(field="title", name="title", reason=f"up to {_LONGEST_TITLE} characters")
        data = await request.raw_body()
        upload = Upload(patient_id, bare_id(encounter, "Encounter") if encounter else None, title, data)
        began = self._documents.now()

        def answer(document: Document) -> Reply:
            request.about(resource=f"DocumentReference/{document.resource_id}")
            view = shapes.document_view(document, request.language)
            status = 201 if document.uploaded_at >= began else 200
            return Reply(status, view, {"Location": f"/api/documents/{document.id}"})

        return await self._documents.keep(
            upload, request.principal, lambda name: request.commit(lambda tx: answer(name(tx)))
        )

    async def list(self, request: Request) -> Reply:
        """``GET /api/documents?patient=``."""
        patient_id = _patient(request)
        found = await self._documents.store.read(lambda q: rows.find(q, patient_id=patient_id, limit=MAX_LISTED))
        return Reply(body=shapes.DocumentList([shapes.document_view(one, request.language) for one in found]))

    async def read(self, request: Request) -> Reply:
        """``GET /api/documents/{id}``."""
        return Reply(body=shapes.document_view(await self._document(request), request.language))

    async def original(self, request: Request) -> Reply:
        """``GET /api/documents/{id}/original``; never opened by a browser in the appliance's own name."""
        document = await self._document(request)
        headers = {
            "Content-Length": str(document.size),
            "Content-Disposition": f'attachment; filename="documento-{document.id}"',
        }
        return Reply(headers=headers, content_type=document.media_type, stream=self._documents.original(document))

    async def reading(self, request: Request) -> Reply:
        """``GET /api/documents/{id}/reading?page=``."""
        document = await self._document(request)
        rows.require_read(document)
        asked = request.query.get("page")
        number = None if asked is None else _number(asked, "page")
        pages = await self._documents.store.read(lambda q: rows.pages(q, document.id, number))
        return Reply(body=shapes.reading_view(document, pages))

    async def retry(self, request: Request) -> Reply:
        """``POST /api/documents/{id}/retry``."""
        document = await self._document(request)

        def change(tx: Transaction) -> Reply:
            again = self._documents.read_again(tx, document.id, request.principal)
            return Reply(202, shapes.document_view(again, request.language))

        return await request.commit(change)

    async def proposals(self, request: Request) -> Reply:
        """``GET /api/documents/{id}/proposals``."""
        document = await self._document(request)
        rows.require_read(document)

        def find(q: Query) -> shapes.ProposalsView:
            warned = self._documents.warnings(q, document)
            return shapes.proposals_view(
                document, rows.report(q, document.id), rows.proposals(q, document.id), warned, request.language
            )

        return Reply(body=await self._documents.store.read(find))

    async def confirm(self, request: Request) -> Reply:
        """``POST /api/documents/{id}/proposals/{n}/confirm``."""
        edits = await request.body(Edits) if await request.raw_body() else Edits()
        document, number = await self._document(request), _number(request.parameters["number"], "number")

        def change(tx: Transaction) -> Reply:
            decided = self._documents.confirm(tx, document.id, number, edits, request.principal)
            request.about(resource=f"Observation/{decided.observation_id}")
            return Reply(
                201,
                shapes.proposal_view(decided, request.language),
                {"Location": f"/fhir/R4/Observation/{decided.observation_id}"},
            )

        return await request.commit(change)

    async def reject(self, request: Request) -> Reply:
        """``POST /api/documents/{id}/proposals/{n}/reject``."""
        document, number = await self._document(request), _number(request.parameters["number"], "number")
        return await request.commit(
            lambda tx: Reply(
                body=shapes.proposal_view(self._documents.reject(tx, document.id, number, request.principal))
            )
        )

    async def _document(self, request: Request) -> Document:
        document = await self._documents.store.read(partial(rows.get, document_id=request.parameters["document_id"]))
        request.about(patient=f"Patient/{document.patient_id}", resource=f"DocumentReference/{document.resource_id}")
        return document


def _patient(request: Request) -> str:
    patient = request.query.get("patient")
    if not patient:
        raise INVALID(field="patient", name="patient", reason="say whose document")
    patient_id = bare_id(patient, "Patient")
    request.about(patient=f"Patient/{patient_id}")
    return patient_id


def _number(text: str, name: str) -> int:
    if not (text.isascii() and text.isdigit()) or not 1 <= int(text[:7]) <= 1_000_000:  # noqa: PLR2004  more than any document has
        raise INVALID(field=name, name=name, reason="a number from 1 on")
    return int(text)
