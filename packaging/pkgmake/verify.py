"""Reading a package back: every byte is accounted for, and its parts agree with each other."""

from __future__ import annotations

import gzip
import hashlib
import tempfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final
from xml.etree import ElementTree as ET

from cryptography import x509
from flatpkg import Archive, BomEntry, Kind, PackageError, read_bom, read_cpio, verify_package
from flatpkg.checksum import cksum
from flatpkg.cpio import CpioEntry

from pkgmake.assemble import MANIFEST
from pkgmake.package import COMPONENT, identifier

_MEMBERS: Final = ("Distribution", *(f"{COMPONENT}/{name}" for name in ("PackageInfo", "Bom", "Payload", "Scripts")))


@dataclass(frozen=True, slots=True)
class Report:
    """What was found: ``signer`` is empty for an unsigned package; ``installed_bytes`` are the files' sizes together."""

    version: str
    signer: str
    files: int
    installed_bytes: int


def verify(path: Path, root: x509.Certificate | None = None, *, now: datetime | None = None) -> Report:
    """Prove a package: table, members, signatures (back to ``root`` if one is given), payload against bill and manifest.

    Raises:
        PackageError: the first thing that is wrong, and where.
    """
    signer = verify_package(path, root, now=now) if root is not None else ""
    with Archive(path) as archive:
        archive.check()
        _no_gaps(archive, path)
        if tuple(archive.members) != _MEMBERS:
            raise PackageError(f"the package does not hold {', '.join(_MEMBERS)}, just these")
        version = _version(archive)
        files, size = _payload(archive, version)
        _scripts(archive)
    return Report(version, signer, files, size)


def _no_gaps(archive: Archive, path: Path) -> None:
    """Bytes that belong to nothing are covered by no checksum."""
    extents = [(member.offset, member.length) for member in archive.members.values()]
    signatures = sum(len(one.value) for one in archive.signatures.values())
    end = len(archive.digest) + signatures
    for offset, length in sorted(extents):
        if offset != end:
            raise PackageError("bytes lie between the package's parts")
        end += length
    if archive.heap + end != path.stat().st_size:
        raise PackageError("the package does not end with its last part")


def _version(archive: Archive) -> str:
    try:
        info = ET.fromstring(archive.read(f"{COMPONENT}/PackageInfo"))  # noqa: S314  its checksum has been proven
    except ET.ParseError as error:
        raise PackageError("PackageInfo is not XML") from error
    version = info.get("version", "")
    if info.get("identifier") != identifier(version):
        raise PackageError("PackageInfo's identifier is not that of its version")
    if info.get("relocatable") != "false" or info.get("auth") != "root":
        raise PackageError("PackageInfo asks for something else than a fixed place owned by root")
    return version


def _payload(archive: Archive, version: str) -> tuple[int, int]:
    bill = {entry.path: entry for entry in read_bom(archive.read(f"{COMPONENT}/Bom"))}
    promised, found, size = {}, {}, 0
    with tempfile.TemporaryDirectory() as work:
        packed = Path(work) / "Payload"
        archive.extract(f"{COMPONENT}/Payload", packed)
        try:
            with gzip.open(packed) as stream:
                for entry in read_cpio(stream):  # type: ignore[arg-type]  # a GzipFile is read like any file
                    _fits_bill(entry, bill)
                    found[entry.path] = hashlib.sha256(entry.data).hexdigest()
                    size += len(entry.data)
                    if entry.path == f"./versions/{version}/{MANIFEST}":
                        promised = _manifest(entry.data)
                if stream.read(1):
                    raise PackageError("something follows the payload's archive")
        except (OSError, EOFError, zlib.error) as error:
            raise PackageError(f"the payload can't be expanded ({error})") from error
    if set(found) != set(bill):
        raise PackageError("payload and bill of materials name different files")
    _fits_manifest(found, promised, f"./versions/{version}/")
    return len(found), size


def _fits_bill(entry: CpioEntry, bill: Mapping[str, BomEntry]) -> None:
    record = bill.get(entry.path)
    if record is None:
        raise PackageError(f"{entry.path} is in the payload and not in the bill of materials")
    if (record.mode, record.uid, record.gid) != (entry.mode, 0, 0) or (entry.uid, entry.gid) != (0, 0):
        raise PackageError(f"{entry.path} has another owner or mode than the bill of materials says")
    if record.kind is not Kind.DIRECTORY and (record.size, record.checksum) != (
        len(entry.data) & 0xFFFFFFFF,
        cksum([entry.data]),
    ):
        raise PackageError(f"{entry.path} is not what the bill of materials says")


def _manifest(data: bytes) -> dict[str, str]:
    lines = data.decode("utf-8").splitlines()
    return {name: digest for digest, _, name in (line.partition("  ") for line in lines)}


def _fits_manifest(found: Mapping[str, str], promised: Mapping[str, str], prefix: str) -> None:
    if not promised:
        raise PackageError("the payload has no manifest")
    for name, digest in promised.items():
        if found.get(prefix + name) != digest:
            raise PackageError(f"{name} is not what the manifest says")


def _scripts(archive: Archive) -> None:
    import io

    data = gzip.decompress(archive.read(f"{COMPONENT}/Scripts"))
    names = {entry.path: entry.mode for entry in read_cpio(io.BytesIO(data))}
    for name in ("./preinstall", "./postinstall"):
        if names.get(name, 0) & 0o777 != 0o755:  # noqa: PLR2004  rwxr-xr-x
            raise PackageError(f"the installer's script {name} is missing or can't be run")
