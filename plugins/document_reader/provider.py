"""The ability ``document_reader``: a process of its own opens each document; what it tells is turned into proposals here."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Final

from appliance.plugin_api.capabilities import ModelInfo
from appliance.plugin_api.engine import CallOptions
from appliance.plugin_api.errors import ProntuarioError
from appliance.plugin_api.paper import LabReport, PaperFacts, PaperPage
from plugins.document_reader import conversing
from plugins.document_reader.config import ReaderConfig
from plugins.document_reader.errors import DAMAGED, FAILED, UNSUPPORTED
from plugins.document_reader.kinds import kind_of
from plugins.document_reader.lab.report import report_of
from plugins.document_reader.lab.table import Table, standard_table
from plugins.document_reader.messages import Ask, Told, packed
from plugins.document_reader.recognisers import Missing, Recogniser

CAPABILITY: Final = "document_reader"
_LIVES: Final = 2
"""The first process may have been killed for the memory that others took."""
_SLACK_S: Final = 30.0
"""How much later than a page's own limit a silent process is given up."""


class Reader:
    """A ``DocumentReader`` over the first of ``recognisers`` that this machine has; PDFs with text need none."""

    def __init__(
        self,
        recognisers: Sequence[Recogniser],
        config: ReaderConfig,
        *,
        command: Sequence[str] = conversing.CHILD,
    ) -> None:
        """``config.analytes`` is read now.

        Raises:
            ValueError, OSError: that file is not there or not in form.
        """
        self._recognisers, self._config, self._command = recognisers, config, command
        self._table: Table = standard_table(Path(config.analytes) if config.analytes else None)
        self._places = asyncio.Semaphore(config.at_once)
        self._chosen: Recogniser | None = None

    def missing(self) -> Missing | None:
        """Why pictures can't be read here; None when they can. The last program's reason is the one to act on. Blocks."""
        reasons = [recogniser.missing() for recogniser in self._recognisers]
        self._chosen = next((r for r, reason in zip(self._recognisers, reasons, strict=True) if reason is None), None)
        return None if self._chosen else reasons[-1]

    def model(self) -> ModelInfo:
        name = self._chosen.name if self._chosen else "pdf-text"
        return ModelInfo(name, "", CAPABILITY, demonstration=False, ready=True)

    async def inspect(self, document: bytes, call: CallOptions) -> PaperFacts:
        """See ``DocumentReader.inspect``. Of two processes that die of it the document is damaged: 503 would have it sent again."""
        if kind_of(document) is None:
            raise UNSUPPORTED(field="document")
        async with self._place(call):
            for _ in range(_LIVES):
                try:
                    return await self._facts(document, call)
                except ProntuarioError as error:
                    if error.kind is not FAILED or error.details.get("reason") != conversing.DIED:
                        raise
        raise DAMAGED(field="document")

    async def _facts(self, document: bytes, call: CallOptions) -> PaperFacts:
        ask = self._ask(read=False, recogniser=None)
        async with aclosing(self._told(ask, document, call.deadline_s)) as lines:
            facts = [line.facts async for line in lines if line.facts is not None]
        if not facts:
            raise DAMAGED(field="document")
        return facts[0]

    async def read(self, document: bytes, call: CallOptions) -> AsyncGenerator[PaperPage, None]:
        """See ``DocumentReader.read``."""
        if kind_of(document) is None:
            raise UNSUPPORTED(field="document")
        if self._chosen is None:
            await asyncio.to_thread(self.missing)
        ask = self._ask(read=True, recogniser=self._chosen)
        async with (
            self._place(call),
            aclosing(self._told(ask, document, self._config.page_s + _SLACK_S)) as lines,
        ):
            async for line in lines:
                if line.page is not None:
                    yield line.page

    def lab_report(self, pages: Sequence[PaperPage]) -> LabReport:
        """See ``DocumentReader.lab_report``."""
        return report_of(pages, self._table)

    def _ask(self, *, read: bool, recogniser: Recogniser | None) -> Ask:
        config = self._config
        return Ask(
            read=read,
            max_pages=config.max_pages,
            max_pixels=config.max_megapixels * 1_000_000,
            dpi=config.dpi,
            page_s=config.page_s,
            memory_bytes=config.memory_mib << 20,
            recogniser=None if recogniser is None else list(recogniser.command()),
        )

    def _told(self, ask: Ask, document: bytes, stall_s: float) -> AsyncGenerator[Told, None]:
        return conversing.answers(packed(ask, document), stall_s=stall_s, command=self._command)

    def _place(self, call: CallOptions) -> _Place:
        return _Place(self._places, call.deadline_s)


class _Place:
    """One of the places for documents that are open at a time; waits for it at most until the deadline."""

    def __init__(self, places: asyncio.Semaphore, limit_s: float) -> None:
        self._places, self._limit_s = places, limit_s

    async def __aenter__(self) -> None:
        try:
            async with asyncio.timeout(self._limit_s):
                await self._places.acquire()
        except TimeoutError:
            raise FAILED(reason="too many documents at once", retry_after=5.0) from None

    async def __aexit__(self, *_error: object) -> None:
        self._places.release()
