"""Reading xar archives with every checksum proven before a byte is handed out."""

from __future__ import annotations

import base64
import hashlib
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final, Self
from xml.etree import ElementTree as ET

from cryptography import x509

from flatpkg.errors import PackageError
from flatpkg.xar import HEADER

_LARGEST_TABLE: Final = 64 << 20
_STYLES: Final[Mapping[int, str]] = {1: "sha1", 3: "sha256"}
_XMLDSIG: Final = "{http://www.w3.org/2000/09/xmldsig#}"
_CHUNK: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class StoredMember:
    """Where a member lies: ``offset`` in the heap and ``length`` there, ``size`` once expanded."""

    path: str
    offset: int
    length: int
    size: int
    compressed: bool
    archived: tuple[str, str]
    extracted: tuple[str, str]


@dataclass(frozen=True, slots=True)
class StoredSignature:
    """A signature over the table's digest and the certificates beside it, the signer's first."""

    value: bytes
    certificates: tuple[x509.Certificate, ...]


class Archive:
    """An opened archive. The table's digest is proven at opening, each member when it is read."""

    def __init__(self, path: Path) -> None:
        """Raises ``PackageError`` when the file is not a xar archive or its table of contents was altered."""
        self._file: BinaryIO = path.open("rb")
        try:
            self._open()
        except PackageError:
            self.close()
            raise
        except (ET.ParseError, zlib.error, ValueError, AttributeError, TypeError, KeyError) as error:
            self.close()
            raise PackageError(f"the table of contents is broken ({type(error).__name__})") from error

    def _open(self) -> None:
        head = self._file.read(HEADER.size)
        if len(head) < HEADER.size or head[:4] != b"xar!":
            raise PackageError("not a flat package: it does not begin with xar!")
        _, header_bytes, version, packed_bytes, table_bytes, algorithm = HEADER.unpack(head)
        if header_bytes != HEADER.size or version != 1:
            raise PackageError("not a flat package of the kind that macOS makes")
        if packed_bytes > _LARGEST_TABLE or table_bytes > _LARGEST_TABLE or algorithm not in _STYLES:
            raise PackageError("the table of contents has an impossible size or digest")
        self._file.seek(header_bytes)
        packed = self._file.read(packed_bytes)
        self.heap = header_bytes + packed_bytes
        toc = _parse(packed, table_bytes)
        self.digest_name = _STYLES[algorithm]
        self.digest = self._read(*_extent(_child(toc, "checksum")))
        if hashlib.new(self.digest_name, packed).digest() != self.digest:
            raise PackageError("the table of contents was altered")
        self.members = {member.path: member for member in _members(toc, "")}
        self.signatures = {
            str(node.get("style")): StoredSignature(self._read(*_extent(node)), _certificates(node))
            for tag in ("signature", "x-signature")
            for node in toc.findall(tag)
        }

    def _read(self, offset: int, length: int) -> bytes:
        self._file.seek(self.heap + offset)
        data = self._file.read(length)
        if len(data) != length:
            raise PackageError("the package is cut short")
        return data

    def read(self, path: str) -> bytes:
        """A member's expanded bytes.

        Raises:
            PackageError: no such member, or a checksum that does not hold.
        """
        member = self.members.get(path)
        if member is None:
            raise PackageError(f"the package has no {path}")
        raw = self._read(member.offset, member.length)
        _prove(path, raw, member.archived)
        if member.compressed:
            expander = zlib.decompressobj()
            try:
                raw = expander.decompress(raw, member.size + 1)
            except zlib.error as error:
                raise PackageError(f"{path} can't be expanded") from error
        if len(raw) != member.size:
            raise PackageError(f"{path} has not the size that the table names")
        _prove(path, raw, member.extracted)
        return raw

    def extract(self, path: str, target: Path) -> None:
        """Write a member to ``target`` in pieces: for payloads that should not lie in memory whole. Same errors as ``read``."""
        member = self.members.get(path)
        if member is None or member.compressed:
            target.write_bytes(self.read(path))
            return
        digest = hashlib.new(member.archived[0])
        self._file.seek(self.heap + member.offset)
        left = member.length
        with target.open("wb") as out:
            while left:
                chunk = self._file.read(min(left, _CHUNK))
                if not chunk:
                    raise PackageError("the package is cut short")
                digest.update(chunk)
                out.write(chunk)
                left -= len(chunk)
        if digest.hexdigest() != member.archived[1]:
            target.unlink()
            raise PackageError(f"{path} was altered")

    def check(self) -> None:
        """Prove every member, and that nothing lies in the file outside them.

        Raises:
            PackageError: the first thing that is wrong.
        """
        end = 0
        for path, member in self.members.items():
            if member.compressed:
                self.read(path)
            else:
                self._check_raw(member)
            end = max(end, member.offset + member.length)
        if self._file.seek(0, 2) > self.heap + end:
            raise PackageError("something was appended to the package")

    def _check_raw(self, member: StoredMember) -> None:
        digest = hashlib.new(member.archived[0])
        self._file.seek(self.heap + member.offset)
        left = member.length
        while left and (chunk := self._file.read(min(left, _CHUNK))):
            digest.update(chunk)
            left -= len(chunk)
        if left or digest.hexdigest() != member.archived[1] or member.extracted != member.archived:
            raise PackageError(f"{member.path} was altered")

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _parse(packed: bytes, size: int) -> ET.Element:
    expander = zlib.decompressobj()
    table = expander.decompress(packed, size + 1)
    if len(table) != size or not expander.eof or expander.unused_data:
        raise PackageError("the table of contents has not the size that the header names")
    if b"<!DOCTYPE" in table or b"<!ENTITY" in table:
        raise PackageError("the table of contents declares entities, which no package needs")
    return _child(ET.fromstring(table), "toc")  # noqa: S314  no entity can be in it


def _child(node: ET.Element, tag: str) -> ET.Element:
    found = node.find(tag)
    if found is None:
        raise PackageError(f"the table of contents lacks <{tag}>")
    return found


def _number(node: ET.Element, tag: str) -> int:
    value = int(_child(node, tag).text or "")
    if value < 0:
        raise PackageError(f"the table of contents names a negative {tag}")
    return value


def _extent(node: ET.Element) -> tuple[int, int]:
    return _number(node, "offset"), min(_number(node, "size"), _LARGEST_TABLE)


def _certificates(node: ET.Element) -> tuple[x509.Certificate, ...]:
    texts = [element.text or "" for element in node.iter(f"{_XMLDSIG}X509Certificate")]
    return tuple(x509.load_der_x509_certificate(base64.b64decode(text)) for text in texts)


def _members(node: ET.Element, prefix: str) -> list[StoredMember]:
    found = []
    for file in node.findall("file"):
        name = _child(file, "name").text or ""
        if name in {"", ".", ".."} or "/" in name:
            raise PackageError("the table of contents has an unsafe name")
        if _child(file, "type").text == "directory":
            found += _members(file, f"{prefix}{name}/")
        else:
            found.append(_member(_child(file, "data"), prefix + name))
    return found


def _member(data: ET.Element, path: str) -> StoredMember:
    style = str(_child(data, "encoding").get("style"))
    return StoredMember(
        path,
        _number(data, "offset"),
        _number(data, "length"),
        _number(data, "size"),
        style == "application/x-gzip",
        _checksum(data, "archived-checksum"),
        _checksum(data, "extracted-checksum"),
    )


def _checksum(data: ET.Element, tag: str) -> tuple[str, str]:
    node = _child(data, tag)
    style = str(node.get("style"))
    if style not in _STYLES.values():
        raise PackageError(f"the checksum kind {style!r} is not accepted")
    return style, node.text or ""


def _prove(path: str, data: bytes, checksum: tuple[str, str]) -> None:
    if hashlib.new(checksum[0], data).hexdigest() != checksum[1]:
        raise PackageError(f"{path} was altered")
