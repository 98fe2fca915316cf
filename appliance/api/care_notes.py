"""Notes over HTTP: read, edit with If-Match, review, sign, amend, verify, export."""

from __future__ import annotations

from functools import partial
from typing import Final

from appliance.api import care_shapes as shapes
from appliance.care import dictations, notes, signatures, transcripts
from appliance.care.model import Note
from appliance.care.service import Consults
from appliance.care.templates import shelf
from appliance.plugin_api.errors import INVALID
from appliance.plugin_api.http import AnyRoute, Reply, Request, Route
from appliance.plugin_api.storage import Query, Transaction

TAG: Final = "notes"
MAX_LISTED: Final = 200


class NoteRoutes:
    """Handlers over one node's consults."""

    def __init__(self, consults: Consults) -> None:
        self._consults = consults

    def routes(self) -> list[AnyRoute]:
        """All of them."""
        one = "/api/notes/{note_id}"
        return [
            Route("GET", "/api/notes", "note.read", self.list, "Notes of a patient", None, shapes.NoteList, TAG),
            Route("GET", one, "note.read", self.read, "A note in its current version", None, shapes.NoteView, TAG),
            Route("PUT", one, "note.write", self.edit, "Edit a note (If-Match)", shapes.EditNote, shapes.NoteView, TAG),
            Route("PUT", one + "/template", "note.write", self.arrange, "Arrange a note by another template (If-Match)",
                  shapes.ChooseTemplate, shapes.NoteView, TAG),
            Route("POST", one + "/review", "note.write", self.review, "Say that this version is reviewed (If-Match)",
                  shapes.ReviewNote, shapes.NoteView, TAG),
            Route("GET", one + "/signing-form", "note.sign", self.signing_form, "What a device signs", None, shapes.SigningForm, TAG),
            Route("POST", one + "/sign", "note.sign", self.sign, "Sign the reviewed version", shapes.SignNote, shapes.NoteView, TAG),
            Route("POST", one + "/amend", "note.write", self.amend, "Begin an amendment of a signed note",
                  shapes.AmendNote, shapes.NoteView, TAG),
            Route("GET", one + "/versions", "note.read", self.versions, "Every version", None, shapes.Versions, TAG),
            Route("GET", one + "/verification", "note.read", self.verification, "Check the signature",
                  None, signatures.Verification, TAG),
            Route("GET", one + "/export", "note.export", self.export, "The signed note as a FHIR document", None, dict, TAG),
        ]  # fmt: skip

    async def list(self, request: Request) -> Reply:
        """``GET /api/notes?patient=&state=``."""
        patient = request.query.get("patient")
        if not patient:
            raise INVALID(field="patient", name="patient", reason="say whose notes")
        patient_id = shapes.bare_id(patient, "Patient")
        request.about(patient=f"Patient/{patient_id}")
        found = await self._consults.store.read(
            lambda q: notes.find(q, patient_id=patient_id, state=request.query.get("state"), limit=MAX_LISTED)
        )
        return Reply(body=shapes.NoteList([shapes.note_summary(note) for note in found]))

    async def read(self, request: Request) -> Reply:
        """``GET /api/notes/{id}``; the ETag is the version."""
        note = await self._note(request)
        return await self._consults.store.read(partial(_reply, note=note))

    async def edit(self, request: Request) -> Reply:
        """``PUT /api/notes/{id}``."""
        asked = await request.body(shapes.EditNote)
        note = await self._note(request)

        def change(tx: Transaction) -> Reply:
            fresh = notes.edit(
                tx,
                note.id,
                asked.sections,
                seen=request.headers.get("if-match"),
                editor=request.principal.user_id,
                now=self._consults.now(),
            )
            self._consults.tell(tx, fresh)
            return _reply(tx, fresh)

        return await request.commit(change)

    async def arrange(self, request: Request) -> Reply:
        """``PUT /api/notes/{id}/template``: one of the caller's templates, as they have it now."""
        asked = await request.body(shapes.ChooseTemplate)
        note = await self._note(request)
        who = request.principal.user_id

        def change(tx: Transaction) -> Reply:
            layout = shelf.get(tx, who, asked.template).layout
            fresh = notes.arrange(
                tx, note.id, layout, seen=request.headers.get("if-match"), editor=who, now=self._consults.now()
            )
            self._consults.tell(tx, fresh)
            return _reply(tx, fresh)

        return await request.commit(change)

    async def review(self, request: Request) -> Reply:
        """``POST /api/notes/{id}/review``."""
        asked = await request.body(shapes.ReviewNote)
        note = await self._note(request)

        def change(tx: Transaction) -> Reply:
            reviewed = notes.review(
                tx,
                note.id,
                seen=request.headers.get("if-match"),
                accept=asked.accept,
                reviewer=request.principal.user_id,
                now=self._consults.now(),
            )
            self._consults.tell(tx, reviewed)
            return _reply(tx, reviewed)

        return await request.commit(change)

    async def signing_form(self, request: Request) -> Reply:
        """``GET /api/notes/{id}/signing-form``."""
        note = await self._note(request)
        notes.require_signable(note, request.principal.user_id)
        dictation = await self._consults.store.read(lambda q: dictations.get(q, note.dictation_id))
        return Reply(body=shapes.SigningForm("Ed25519", signatures.form_of(note, dictation, request.principal)))

    async def sign(self, request: Request) -> Reply:
        """``POST /api/notes/{id}/sign``."""
        asked = await request.body(shapes.SignNote)
        note = await self._note(request)
        return await request.commit(
            lambda tx: _reply(tx, self._consults.sign(tx, note.id, request.principal, asked.signature))
        )

    async def amend(self, request: Request) -> Reply:
        """``POST /api/notes/{id}/amend``."""
        asked = await request.body(shapes.AmendNote)
        note = await self._note(request)

        def change(tx: Transaction) -> Reply:
            draft = notes.amend(
                tx, note.id, reason=asked.reason, author=request.principal.user_id, now=self._consults.now()
            )
            self._consults.tell(tx, draft)
            return _reply(tx, draft, 201)

        return await request.commit(change)

    async def versions(self, request: Request) -> Reply:
        """``GET /api/notes/{id}/versions``."""
        note = await self._note(request)
        return Reply(body=shapes.Versions(await self._consults.store.read(lambda q: notes.versions(q, note.id))))

    async def verification(self, request: Request) -> Reply:
        """``GET /api/notes/{id}/verification``."""
        note = await self._note(request)
        return Reply(body=await self._consults.store.read(lambda q: signatures.verify(q, note.id)))

    async def export(self, request: Request) -> Reply:
        """``GET /api/notes/{id}/export``."""
        note = await self._note(request)
        bundle = await self._consults.store.read(lambda q: self._consults.export(q, note.id))
        name = {"Content-Disposition": f'attachment; filename="nota-{note.id}.json"'}
        return Reply(body=bundle, headers=name, content_type="application/fhir+json")

    async def _note(self, request: Request) -> Note:
        note = await self._consults.store.read(partial(notes.get, note_id=request.parameters["note_id"]))
        request.about(patient=f"Patient/{note.patient_id}", resource=f"Composition/{note.composition_id}")
        return note


def _reply(q: Query, note: Note, status: int = 200) -> Reply:
    segments = transcripts.segments(q, note.dictation_id)
    return Reply(status, shapes.note_view(note, segments), {"ETag": f'"{note.version}"'})
