"""The process that opens a document: one question on standard input, lines of JSON on standard output (``messages.py``).

It is its own session; when the appliance closes its end, this process and the recogniser that it runs end with it.
"""

from __future__ import annotations

import os
import resource
import signal
import sys
import threading
from collections.abc import Iterator
from typing import BinaryIO

import msgspec

from appliance.plugin_api.paper import PaperFacts, PaperPage
from plugins.document_reader.kinds import kind_of
from plugins.document_reader.messages import LENGTHS, Ask, Told
from plugins.document_reader.refusals import RefusedError


def told(ask: Ask, document: bytes) -> Iterator[Told]:
    """The facts, then every page if that was asked.

    Raises:
        RefusedError: the document can't be read.
    """
    kind = kind_of(document)
    if kind is None:
        raise RefusedError("document.unsupported")
    if kind == "application/pdf":
        yield from _pdf(ask, document)
        return
    from plugins.document_reader import pictures

    photo = pictures.open_photo(document, kind, ask.max_pixels)
    yield Told(facts=PaperFacts(kind, 1))
    if ask.read:
        from plugins.document_reader.reading import read_picture

        yield Told(page=read_picture(1, photo, _recogniser(ask), ask.page_s))


def _pdf(ask: Ask, document: bytes) -> Iterator[Told]:
    from plugins.document_reader import pdf_pages

    opened = pdf_pages.open_pdf(document, ask.max_pages)
    yield Told(facts=PaperFacts("application/pdf", len(opened)))
    for index in range(len(opened)):
        page = pdf_pages.page_at(opened, index)  # also when only asked what it is: a truncated file is found out here
        if ask.read:
            yield Told(page=pdf_pages.text_of(page, index + 1) or _recognised(ask, page, index + 1))
        page.close()


def _recognised(ask: Ask, page: object, number: int) -> PaperPage:
    from plugins.document_reader import pdf_pages
    from plugins.document_reader.reading import read_picture

    return read_picture(number, pdf_pages.drawn(page, ask.dpi, ask.max_pixels), _recogniser(ask), ask.page_s)


def _recogniser(ask: Ask) -> list[str]:
    if ask.recogniser is None:
        raise RefusedError("document.no_recogniser")
    return list(ask.recogniser)


def _bound(memory_bytes: int) -> None:
    """MacOS knows no such limit for address space; there the deadline alone protects."""
    if sys.platform == "linux":
        resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _end_with(stream: BinaryIO) -> None:
    """Once the appliance is gone nobody needs the rest."""
    stream.read(1)
    os.killpg(os.getpgrp(), signal.SIGKILL)


def main() -> None:
    """Answer one question."""
    source = sys.stdin.buffer
    question, length = LENGTHS.unpack(source.read(LENGTHS.size))
    ask = msgspec.json.decode(source.read(question), type=Ask)
    document = source.read(length)
    threading.Thread(target=_end_with, args=(source,), daemon=True).start()
    _bound(ask.memory_bytes)
    out = sys.stdout.buffer
    try:
        for line in told(ask, document):
            out.write(msgspec.json.encode(line) + b"\n")
            out.flush()
    except RefusedError as refusal:
        out.write(msgspec.json.encode(Told(error=refusal.code, details=refusal.details)) + b"\n")
    except MemoryError:
        limit = ask.memory_bytes >> 20
        out.write(
            msgspec.json.encode(
                Told(error="document.too_large", details={"what": "MiB", "found": limit, "limit": limit})
            )
            + b"\n"
        )
    out.flush()


if __name__ == "__main__":
    main()
    os._exit(0)  # the watching thread holds standard input
