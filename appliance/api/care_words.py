"""The hospital's own words for the recogniser over HTTP: read, and keep a new list with If-Match."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Final

import msgspec

from appliance.care import hospital_words
from appliance.plugin_api.capabilities import ModelInfo
from appliance.plugin_api.http import AnyRoute, Reply, Request, Route
from appliance.plugin_api.storage import Store, Transaction
from appliance.plugin_api.vocabulary import MOST_TERMS
from appliance.records.repository import parse_version

TAG: Final = "notes"
PATH: Final = "/api/hospital/vocabulary"
_FAR_TOO_LONG: Final = 1000
Word = Annotated[str, msgspec.Meta(max_length=_FAR_TOO_LONG)]


class KeepWords(msgspec.Struct, forbid_unknown_fields=True):
    """The whole list, the most important first; it takes the place of the one before."""

    words: Annotated[list[Word], msgspec.Meta(max_length=5 * MOST_TERMS)]


class WordsView(msgspec.Struct):
    """The hospital's words and those that came with the model; ``used``: whether the model that serves takes any at all."""

    words: tuple[str, ...]
    version: int
    kept_by: str | None
    kept_at: str | None
    of_model: tuple[str, ...]
    used: bool


class WordRoutes:
    """Handlers over one node's store; ``models`` tells which models serve, ``now`` the moment as a FHIR instant."""

    def __init__(self, store: Store, models: Callable[[], Sequence[ModelInfo]], now: Callable[[], str]) -> None:
        self._store = store
        self._models = models
        self._now = now

    def routes(self) -> list[AnyRoute]:
        """All of them."""
        return [
            Route("GET", PATH, "node.read", self.read, "Words that the recogniser expects", None, WordsView, TAG),
            Route(
                "PUT", PATH, "node.manage", self.keep, "Keep the hospital's words (If-Match)", KeepWords, WordsView, TAG
            ),
        ]

    async def read(self, _: Request) -> Reply:
        """``GET /api/hospital/vocabulary``; the ETag is the version."""
        return self._reply(await self._store.read(hospital_words.current))

    async def keep(self, request: Request) -> Reply:
        """``PUT /api/hospital/vocabulary``."""
        asked = await request.body(KeepWords)
        header = request.headers.get("if-match")
        seen = None if header is None else parse_version(header)
        who = request.principal.user_id

        def change(tx: Transaction) -> Reply:
            return self._reply(hospital_words.keep(tx, asked.words, seen=seen, who=who, now=self._now()))

        return await request.commit(change)

    def _reply(self, found: hospital_words.HospitalWords) -> Reply:
        serving = next((model for model in self._models() if model.capability == "speech_to_text"), None)
        view = WordsView(
            words=found.words,
            version=found.version,
            kept_by=found.kept_by,
            kept_at=found.kept_at,
            of_model=() if serving is None else serving.terms,
            used=serving is not None and serving.vocabulary,
        )
        return Reply(body=view, headers={"ETag": f'"{found.version}"'})
