"""Writing xar archives (github.com/mackyle/xar/wiki/xarformat): header, zlib-compressed table of contents, heap.

The heap begins with the digest of the compressed table, then the signatures over that digest, then the members.
"""

from __future__ import annotations

import base64
import hashlib
import shutil
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, Final, Protocol
from xml.etree import ElementTree as ET

from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import Certificate

CHECKSUM: Final = "sha1"
"""Apple's installer demands a SHA-1 table digest for the RSA signature, still; the CMS signature beside it uses SHA-256."""
CHECKSUM_BYTES: Final = 20
HEADER: Final = struct.Struct(">4sHHQQI")
_COCOA_EPOCH: Final = 978_307_200
"""2001-01-01 in Unix seconds: what signature-creation-time counts from."""


@dataclass(frozen=True, slots=True)
class Member:
    """A file of the archive. ``compress`` is for text; a payload is compressed already."""

    path: str
    source: Path
    compress: bool = False


class TableSigner(Protocol):
    """Signs the digest of the table of contents. Lengths are known before the digest is."""

    @property
    def chain(self) -> Sequence[Certificate]: ...
    @property
    def rsa_bytes(self) -> int: ...
    @property
    def cms_bytes(self) -> int: ...
    def rsa(self, digest: bytes) -> bytes: ...
    def cms(self, digest: bytes) -> bytes: ...


@dataclass(frozen=True, slots=True)
class _Stored:
    """A member as it lies in the heap."""

    member: Member
    data: bytes | None
    length: int
    size: int
    archived: str
    extracted: str

    def copy_to(self, out: BinaryIO) -> None:
        if self.data is not None:
            out.write(self.data)
            return
        with self.member.source.open("rb") as source:
            shutil.copyfileobj(source, out, 1 << 20)


def write_xar(members: Sequence[Member], out: BinaryIO, *, signer: TableSigner | None = None, when: int = 0) -> None:
    """Write the archive; ``when`` (Unix seconds) goes into it as the time of making, so that equal input gives equal bytes."""
    stored = [_store(member) for member in members]
    table = _table(stored, signer, when)
    packed = zlib.compress(table, 9)
    digest = hashlib.sha1(packed).digest()  # noqa: S324  the format's own digest, see CHECKSUM
    out.write(HEADER.pack(b"xar!", HEADER.size, 1, len(packed), len(table), 1))
    out.write(packed + digest)
    if signer is not None:
        out.write(signer.rsa(digest) + signer.cms(digest))
    for one in stored:
        one.copy_to(out)


def _store(member: Member) -> _Stored:
    if member.compress:
        raw = member.source.read_bytes()
        data = zlib.compress(raw, 9)
        return _Stored(member, data, len(data), len(raw), _sha1(data), _sha1(raw))
    with member.source.open("rb") as source:
        checksum = hashlib.file_digest(source, CHECKSUM).hexdigest()
    size = member.source.stat().st_size
    return _Stored(member, None, size, size, checksum, checksum)


def _sha1(data: bytes) -> str:
    return hashlib.sha1(data).hexdigest()  # noqa: S324  as above


def _table(stored: Sequence[_Stored], signer: TableSigner | None, when: int) -> bytes:
    root = ET.Element("xar")
    toc = ET.SubElement(root, "toc")
    _text(toc, "creation-time", _instant(when))
    checksum = ET.SubElement(toc, "checksum", style=CHECKSUM)
    _extent(checksum, 0, CHECKSUM_BYTES)
    offset = CHECKSUM_BYTES
    if signer is not None:
        for tag, style, length in (("signature", "RSA", signer.rsa_bytes), ("x-signature", "CMS", signer.cms_bytes)):
            signature = ET.SubElement(toc, tag, style=style)
            _extent(signature, offset, length)
            _certificates(signature, signer.chain)
            offset += length
        _text(toc, "signature-creation-time", f"{when - _COCOA_EPOCH:.1f}")
    folders = {"": toc}
    for one in stored:
        _file(folders, one, offset)
        offset += one.length
    return b'<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root)


def _instant(when: int) -> str:
    return datetime.fromtimestamp(when, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _certificates(signature: ET.Element, chain: Sequence[Certificate]) -> None:
    info = ET.SubElement(signature, "KeyInfo", xmlns="http://www.w3.org/2000/09/xmldsig#")
    holder = ET.SubElement(info, "X509Data")
    for certificate in chain:
        _text(holder, "X509Certificate", base64.b64encode(certificate.public_bytes(Encoding.DER)).decode("ascii"))


def _file(folders: dict[str, ET.Element], one: _Stored, offset: int) -> None:
    *parents, name = one.member.path.split("/")
    place = ""
    for part in parents:
        above, place = place, f"{place}/{part}" if place else part
        if place not in folders:
            folders[place] = _node(folders, folders[above], part, "directory", "0755")
    node = _node(folders, folders[place], name, "file", "0644")
    folders[one.member.path] = node
    data = ET.SubElement(node, "data")
    _text(data, "length", str(one.length))
    _text(data, "offset", str(offset))
    _text(data, "size", str(one.size))
    ET.SubElement(data, "encoding", style=f"application/{'x-gzip' if one.member.compress else 'octet-stream'}")
    _text(data, "archived-checksum", one.archived).set("style", CHECKSUM)
    _text(data, "extracted-checksum", one.extracted).set("style", CHECKSUM)


def _node(folders: dict[str, ET.Element], parent: ET.Element, name: str, kind: str, mode: str) -> ET.Element:
    node = ET.SubElement(parent, "file", id=str(len(folders)))
    _text(node, "name", name)
    _text(node, "type", kind)
    _text(node, "mode", mode)
    return node


def _extent(parent: ET.Element, offset: int, size: int) -> None:
    _text(parent, "offset", str(offset))
    _text(parent, "size", str(size))


def _text(parent: ET.Element, tag: str, value: str) -> ET.Element:
    element = ET.SubElement(parent, tag)
    element.text = value
    return element
