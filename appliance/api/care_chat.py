"""``POST /api/patients/{id}/chat``: questions about one patient, answered from their record, whole or streamed.

Streamed: ``queue`` events (``{"position": 3}``, 0 once it is being answered) while the request waits for the model, then
``reading``, ``claim`` after ``claim``, and last ``end``.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from functools import partial
from typing import Annotated, Final, Literal

import msgspec

from appliance.api.queue_places import Place, Queued
from appliance.care import ai_switches
from appliance.care.chat.claims import Claim
from appliance.care.chat.conversation import Finished, answer, call_for
from appliance.care.chat.retrieval import Context, Source, Withheld, gather
from appliance.care.model import Ai
from appliance.care.service import Consults
from appliance.plugin_api.capabilities import ChatMessage
from appliance.plugin_api.errors import INVALID
from appliance.plugin_api.http import AnyRoute, Reply, Request, Route, ServerSentEvent
from appliance.plugin_api.storage import Query

TAG: Final = "chat"
MAX_TURNS: Final = 41
MAX_CHARACTERS: Final = 4000
NOTICE: Final = {
    "pt": "Rascunho de IA: confira nas fontes antes de usar.",
    "en": "An AI draft: check it against the sources before use.",
}


class Turn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One turn of the conversation."""

    role: Literal["user", "assistant"]
    content: Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_CHARACTERS)]


class AskAboutPatient(msgspec.Struct, forbid_unknown_fields=True):
    """The conversation so far, the question last. Nothing of it is kept; ``stream``: server-sent events."""

    messages: Annotated[list[Turn], msgspec.Meta(min_length=1, max_length=MAX_TURNS)]
    stream: bool = False
    max_tokens: Annotated[int, msgspec.Meta(ge=1, le=2048)] = 512


class Reading(msgspec.Struct):
    """What was put before the model. ``read``: statements of the record in all, the ones that did not fit included."""

    patient: str
    sources: tuple[Source, ...]
    withheld: tuple[Withheld, ...]
    read: int


class ChatEnd(msgspec.Struct):
    """The label of an answer, and how many of its claims nothing in the record carries."""

    ai: Ai
    notice: str
    finish_reason: str | None
    unsupported: int
    prompt_tokens: int
    completion_tokens: int


class ChatAnswer(msgspec.Struct):
    """An answer claim by claim. ``unsupported`` and ``contradicted`` claims are to be shown as such."""

    reading: Reading
    claims: list[Claim]
    end: ChatEnd


class ChatRoutes:
    """Handlers over one node's consults."""

    def __init__(self, consults: Consults) -> None:
        self._consults = consults

    def routes(self) -> list[AnyRoute]:
        """All of them."""
        return [
            Route("POST", "/api/patients/{patient_id}/chat", "ai.chat", self.ask, "Ask about a patient, from their record",
                  AskAboutPatient, ChatAnswer, TAG),
        ]  # fmt: skip

    async def ask(self, request: Request) -> Reply:
        """The handler. What fails before the first claim is an HTTP error, also for a stream that did not have to wait."""
        asked = await request.body(AskAboutPatient)
        turns = _turns(asked)
        patient_id, caller = request.parameters["patient_id"], request.principal
        request.about(patient=f"Patient/{patient_id}", resource=f"Patient/{patient_id}")
        question = " ".join(turn.content for turn in turns if turn.role == "user")

        def read(q: Query) -> Context:
            ai_switches.require(q, "chat", user_id=caller.user_id, patient_id=patient_id)
            return gather(q, patient_id, question, caller)

        context = await self._consults.store.read(read)
        queued: Queued[Claim | Finished] = Queued()
        call = call_for(caller.user_id, patient_id, queued.told)
        choice = self._consults.abilities.chat_model()
        pieces = answer(turns, context, choice, call, max_tokens=asked.max_tokens)
        reading = Reading(patient_id, context.sources, context.withheld, len(context.sources) + len(context.others))
        end = partial(_end, language=request.language)
        if asked.stream:
            told = queued.pieces(pieces)
            stream = _events(reading, await anext(told), told, end)
            return Reply(content_type="text/event-stream", stream=stream, headers={"cache-control": "no-store"})
        found = [piece async for piece in pieces]
        claims = [piece for piece in found if isinstance(piece, Claim)]
        (last,) = (piece for piece in found if isinstance(piece, Finished))
        return Reply(body=ChatAnswer(reading, claims, end(last, claims)), headers={"cache-control": "no-store"})


def _turns(asked: AskAboutPatient) -> list[ChatMessage]:
    """Raises ``invalid`` unless the turns alternate, a person's first and last."""
    roles = [turn.role for turn in asked.messages]
    if roles != ["assistant" if place % 2 else "user" for place in range(len(roles))] or len(roles) % 2 == 0:
        reason = "turns alternate between user and assistant, the first and the last are the user's"
        raise INVALID(field="messages", name="messages", reason=reason)
    return [ChatMessage(turn.role, turn.content) for turn in asked.messages]


def _end(last: Finished, claims: list[Claim], *, language: str) -> ChatEnd:
    wrong = sum(claim.status in ("unsupported", "contradicted") for claim in claims)
    counts = (last.prompt_tokens, last.completion_tokens)
    return ChatEnd(last.ai, NOTICE[language], last.finish_reason, wrong, *counts)


async def _events(
    reading: Reading,
    first: Claim | Finished | Place,
    rest: AsyncGenerator[Claim | Finished | Place, None],
    end: partial[ChatEnd],
) -> AsyncIterator[ServerSentEvent]:
    """``queue`` while it waits, ``reading``, then ``claim`` after ``claim``, last ``end``; closing it cancels the answer."""
    claims: list[Claim] = []
    try:
        piece: Claim | Finished | Place | None = first
        while isinstance(piece, Place):
            yield ServerSentEvent("queue", piece)
            piece = await anext(rest, None)
        yield ServerSentEvent("reading", reading)
        while piece is not None:
            if isinstance(piece, Claim):
                claims.append(piece)
                yield ServerSentEvent("claim", piece)
            elif isinstance(piece, Finished):
                yield ServerSentEvent("end", end(piece, claims))
            piece = await anext(rest, None)
    finally:
        await rest.aclose()
