"""The plugin's table in ``prontuario.toml``: ``[plugins.document_reader]``."""

from __future__ import annotations

from typing import Annotated

import msgspec


class ReaderConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Limits of one document and of the machine. ``dpi``: how finely a PDF's page is drawn before it is recognised.

    ``page_s``: a page that takes longer is given up. ``memory_mib`` bounds each process that touches the document (Linux).
    ``analytes``: a file of the hospital's own in the form of ``lab/analytes.toml``; its lines come before ours.
    """

    max_pages: Annotated[int, msgspec.Meta(ge=1, le=2000)] = 200
    max_megapixels: Annotated[int, msgspec.Meta(ge=1, le=200)] = 60
    dpi: Annotated[int, msgspec.Meta(ge=100, le=400)] = 200
    page_s: Annotated[float, msgspec.Meta(ge=5.0, le=600.0)] = 90.0
    memory_mib: Annotated[int, msgspec.Meta(ge=512, le=16_384)] = 2048
    at_once: Annotated[int, msgspec.Meta(ge=1, le=16)] = 2
    analytes: str = ""
