"""A note read back to who may read it. The door audits it as every reading of the note."""

from __future__ import annotations

import math
from functools import partial
from typing import Final

from appliance.api.sound_formats import format_called
from appliance.api.spoken import FASTEST, SLOWEST, read_aloud
from appliance.care import note_aloud, notes
from appliance.care.service import Consults
from appliance.plugin_api.capabilities import VoiceOptions
from appliance.plugin_api.errors import INVALID
from appliance.plugin_api.http import AnyRoute, Reply, Request, Route

TAG: Final = "notes"


class SpeechRoutes:
    """Handlers over one node's consults."""

    def __init__(self, consults: Consults) -> None:
        self._consults = consults

    def routes(self) -> list[AnyRoute]:
        """All of them."""
        path = "/api/notes/{note_id}/speech"
        return [Route("GET", path, "note.read", self.speech, "The note read aloud (format, voice, speed)", tag=TAG)]

    async def speech(self, request: Request) -> Reply:
        """``GET /api/notes/{id}/speech?format=&voice=&speed=``; the ETag is the version that is read."""
        wanted = format_called(request.query.get("format", "wav"), "format")
        options = VoiceOptions(request.query.get("voice", ""), _speed(request.query.get("speed", "1")))
        note = await self._consults.store.read(partial(notes.get, note_id=request.parameters["note_id"]))
        request.about(patient=f"Patient/{note.patient_id}", resource=f"Composition/{note.composition_id}")
        reply = await read_aloud(self._consults.abilities, request, note_aloud.text_of(note), options, wanted)
        headers = {**reply.headers, "ETag": f'"{note.version}"'}
        return Reply(content_type=reply.content_type, stream=reply.stream, headers=headers)


def _speed(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not SLOWEST <= value <= FASTEST:
        raise INVALID(field="speed", name="speed", reason=f"a number from {SLOWEST:g} to {FASTEST:g}")
    return value
