"""Which kind of file this is, from its first bytes; names and declared types are never believed."""

from __future__ import annotations

from typing import Final

from appliance.plugin_api.images import ImageType

HEAD_BYTES: Final = 512
_PREAMBLE: Final = 128
_HEIC_BRANDS: Final = frozenset({b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1"})
_BARE_DICOM: Final = (b"\x02\x00", b"\x08\x00", b"\x00\x02", b"\x00\x08")
"""A data set without the file's preamble begins with group 2 or 8, in either byte order."""


def kind_of(head: bytes) -> ImageType | None:
    """The media type; None for whatever is not read here. ``head``: the first ``HEAD_BYTES``, or all of a shorter file."""
    if head[_PREAMBLE : _PREAMBLE + 4] == b"DICM":
        return "application/dicom"
    if head.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if head[4:8] == b"ftyp" and head[8:12] in _HEIC_BRANDS:
        return "image/heic"
    if head.startswith(_BARE_DICOM) and _is_element(head):
        return "application/dicom"
    return None


def _is_element(head: bytes) -> bool:
    """Whether the first eight bytes could be an element of group 2 or 8: an explicit VR, or a sane implicit length."""
    if len(head) < 8:  # noqa: PLR2004  tag, VR or length
        return False
    little = head[0] != 0
    vr = head[4:6]
    length = int.from_bytes(head[4:8], "little" if little else "big")
    return (vr.isalpha() and vr.isupper()) or length < len(head)
