"""Which kind of file it is, by its first bytes; what the sender claims does not count."""

from __future__ import annotations

from typing import Final

from appliance.plugin_api.paper import MediaType

_HEADER_WITHIN: Final = 1024
"""A PDF's header may stand that far inside (ISO 32000-1, Annex H, note 13)."""
_HEIC_BRANDS: Final = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"})


def kind_of(document: bytes) -> MediaType | None:
    """None for anything that the reader has no way to open."""
    if document.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if document.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if document[4:8] == b"ftyp" and document[8:12] in _HEIC_BRANDS:
        return "image/heic"
    return "application/pdf" if b"%PDF-" in document[:_HEADER_WITHIN] else None
