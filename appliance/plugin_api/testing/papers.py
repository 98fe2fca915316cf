"""What every document reader must keep. Raises AssertionError with the reason."""

from __future__ import annotations

from collections.abc import Mapping

from appliance.plugin_api.capabilities import DocumentReader
from appliance.plugin_api.engine import CallOptions
from appliance.plugin_api.errors import ProntuarioError
from appliance.plugin_api.paper import PaperPage

_REFUSED: Mapping[str, bytes] = {
    "document.unsupported": b"PK\x03\x04" + bytes(64),
    "document.damaged": b"%PDF-1.7\n1 0 obj\n<< /Type /Catalog",
}


def _require(condition: object, rule: str) -> None:
    if not condition:
        raise AssertionError(rule)


async def check_document_reader(reader: DocumentReader, document: bytes, call: CallOptions) -> list[PaperPage]:
    """The contract of ``DocumentReader``; ``document`` has words on its pages.

    Returns:
        The pages of ``document``, for assertions of your own.
    """
    _require(isinstance(reader, DocumentReader), "the reader has the methods of DocumentReader")
    model = reader.model()
    _require(model.capability == "document_reader" and model.id, "model() names itself and its capability")
    facts = await reader.inspect(document, call)
    pages = [page async for page in reader.read(document, call)]
    _require([page.number for page in pages] == list(range(1, facts.pages + 1)), "pages come in order, every one once")
    _require(any(page.words for page in pages), "words on paper are read")
    for page in pages:
        _check_words(page)
    report = reader.lab_report(pages)
    _require(report == reader.lab_report(pages), "the same pages give the same report")
    _require(all(1 <= value.page <= facts.pages for value in report.values), "values stand on pages of the document")
    for code, refused in _REFUSED.items():
        _require(await _refusal(reader, refused, call) == code, f"what can't be read is refused with {code}")
    stream = reader.read(document, call)
    await anext(stream)
    close = getattr(stream, "aclose", None)
    _require(close is not None, "reading can be ended early (an async generator)")
    if close is not None:
        await close()
    return pages


def _check_words(page: PaperPage) -> None:
    _require(page.turned in (0, 90, 180, 270), "pages are turned by quarters")
    for word in page.words:
        box = word.box
        _require(word.text and not any(sign.isspace() for sign in word.text), "a word is one word")
        _require(0 <= word.confidence <= 1, "confidence is 0 to 1")
        inside = box.left >= 0 and box.top >= 0 and box.left + box.width <= 1.0001 and box.top + box.height <= 1.0001  # noqa: PLR2004  rounding
        _require(inside, "boxes lie on the page")


async def _refusal(reader: DocumentReader, document: bytes, call: CallOptions) -> str:
    try:
        await reader.inspect(document, call)
    except ProntuarioError as error:
        return error.kind.code
    return ""
