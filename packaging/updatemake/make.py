"""Putting a bundle together. What it says of the program comes out of the package itself, never from who makes the bundle."""

from __future__ import annotations

import gzip
import hashlib
import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from flatpkg import Archive, read_cpio
from pkgmake.errors import BuildError
from pkgmake.package import COMPONENT
from pkgmake.verify import verify

from appliance.operations.packs.manifest import MANIFEST_NAME as PACK_MANIFEST
from appliance.operations.packs.manifest import SIGNATURE_NAME as PACK_SIGNATURE
from appliance.operations.packs.manifest import decode as decode_pack
from appliance.operations.updates import manifest as manifests
from appliance.operations.updates.manifest import Part, SchemaStep, UpdateFile, UpdateManifest
from appliance.operations.updates.signing import sign
from appliance.store.migrate import Migration

_MIGRATION: Final = re.compile(r".*/site-packages/appliance/store/migrations/(\d{4})_([a-z0-9_]+)\.sql")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What goes in: ``tables`` maps ``<plugin>/<path below its data>`` to a file, ``packs`` are signed packs' folders."""

    package: Path
    from_version: str
    made: str
    notes_pt: str
    notes_en: str
    tables: tuple[tuple[str, Path], ...] = ()
    packs: tuple[Path, ...] = ()


def make(wanted: Wanted, key: Ed25519PrivateKey, out: Path) -> UpdateManifest:
    """Write the bundle into the new folder ``out``.

    Raises:
        BuildError: ``out`` exists, or a part is not what it should be; nothing is left then.
        PackageError: the package is not sound.
    """
    if out.exists():
        raise BuildError(f"{out} exists already.", "Name a new folder.")
    report = verify(wanted.package)
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent) as work:
        folder = Path(work) / "bundle"
        folder.mkdir()
        parts = [
            Part(kind="package", name=report.version, files=(_take(wanted.package, folder, wanted.package.name),)),
            *(_table(name, file, folder) for name, file in wanted.tables),
            *(_pack(pack, folder) for pack in wanted.packs),
        ]
        manifest = UpdateManifest(
            version=report.version, from_version=wanted.from_version, made=wanted.made, notes_pt=wanted.notes_pt,
            notes_en=wanted.notes_en, installed_bytes=report.installed_bytes, schema=tuple(schema_of(wanted.package)),
            parts=tuple(parts),
        )  # fmt: skip
        content = manifests.encode(manifest)
        (folder / manifests.MANIFEST_NAME).write_bytes(content)
        (folder / manifests.SIGNATURE_NAME).write_bytes(sign(content, key))
        folder.rename(out)
    return manifest


def schema_of(package: Path) -> Sequence[SchemaStep]:
    """The migrations of the program in ``package``, by number. Raises ``BuildError``: there are none."""
    found = sorted(_migrations(package), key=lambda one: one.number)
    if not found:
        raise BuildError("The package holds no migrations.", "Give a package that `make pkg` made.")
    return [SchemaStep(one.number, one.readable_by, one.checksum) for one in found]


def _migrations(package: Path) -> Iterator[Migration]:
    with tempfile.TemporaryDirectory() as work, Archive(package) as archive:
        packed = Path(work) / "Payload"
        archive.extract(f"{COMPONENT}/Payload", packed)
        with gzip.open(packed) as stream:
            for entry in read_cpio(stream):  # type: ignore[arg-type]  # a GzipFile is read like any file
                if named := _MIGRATION.fullmatch(entry.path):
                    yield Migration(int(named[1]), named[2], entry.data.decode())


def _table(name: str, file: Path, folder: Path) -> Part:
    return Part(kind="table", name=name, files=(_take(file, folder, f"tables/{name}"),))


def _pack(pack: Path, folder: Path) -> Part:
    told = pack / PACK_MANIFEST
    if not told.is_file():
        raise BuildError(f"{pack} is no signed pack.", "Sign it first: prontuario models sign.")
    known = decode_pack(told.read_bytes())
    listed = [PACK_MANIFEST, PACK_SIGNATURE, *(one.path for one in known.files)]
    taken = [_take(pack / one, folder, f"packs/{known.pack}/{one}") for one in listed]
    return Part(kind="pack", name=known.pack, capability=known.capability, files=tuple(taken))


def _take(file: Path, folder: Path, relative: str) -> UpdateFile:
    if not file.is_file():
        raise BuildError(f"There is no file {file}.", "Name one that exists.")
    place = folder / relative
    place.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(file, place)
    with place.open("rb") as copy:
        return UpdateFile(relative, place.stat().st_size, hashlib.file_digest(copy, "sha256").hexdigest())
