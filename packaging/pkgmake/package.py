"""The flat package around an assembled tree: component, product, and, with a key, signatures."""

from __future__ import annotations

import gzip
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final
from xml.sax.saxutils import quoteattr

from flatpkg import Entry, Kind, Member, Signer, entries, write_bom, write_cpio, write_xar

from pkgmake.assemble import NEWEST_MACOS, PREFIX

DOMAIN: Final = "br.prontuario.appliance"
COMPONENT: Final = "appliance.pkg"
TITLE: Final = "Prontuário"
_LEVEL: Final = 6
"""Nine takes three times as long for one part in a hundred."""


def identifier(version: str) -> str:
    """A component identifier of this version's own. Under one that stays, an upgrade deletes the old version's files while it runs."""
    return f"{DOMAIN}.v{version.replace('.', '_')}"


def write_package(
    root: Path, scripts: Path, version: str, target: Path, *, signer: Signer | None = None, when: int = 0
) -> None:
    """Write the package. ``when`` (Unix seconds) is the time of every file in it and of its making.

    Raises:
        PackageError: the tree holds something that no package may hold.
    """
    payload = entries(root)
    with tempfile.TemporaryDirectory(dir=target.parent) as work:
        parts = Path(work)
        size_kb = installed_kb(payload)
        ready = _stage_scripts(scripts, parts / "scripts", version, size_kb)
        _pack(payload, parts / "Payload", when)
        _pack(entries(ready), parts / "Scripts", when)
        (parts / "Bom").write_bytes(write_bom(payload, mtime=when))
        (parts / "PackageInfo").write_text(package_info(version, payload), encoding="utf-8")
        (parts / "Distribution").write_text(distribution(version, size_kb), encoding="utf-8")
        members = [
            Member("Distribution", parts / "Distribution", compress=True),
            Member(f"{COMPONENT}/PackageInfo", parts / "PackageInfo", compress=True),
            Member(f"{COMPONENT}/Bom", parts / "Bom", compress=True),
            Member(f"{COMPONENT}/Payload", parts / "Payload"),
            Member(f"{COMPONENT}/Scripts", parts / "Scripts"),
        ]
        unfinished = parts / "package"
        with unfinished.open("wb") as out:
            write_xar(members, out, signer=signer, when=when)
        unfinished.replace(target)


def _stage_scripts(source: Path, target: Path, version: str, size_kb: int) -> Path:
    """Preinstall and postinstall with what they have to know of this version."""
    target.mkdir()
    for name in ("preinstall", "postinstall"):
        text = (source / f"{name}.sh").read_text(encoding="utf-8")
        (target / name).write_text(
            text.replace("@VERSION@", version).replace("@SIZE_KB@", str(size_kb)), encoding="utf-8"
        )
        (target / name).chmod(0o755)
    return target


def stage_scripts(source: Path, target: Path, version: str, root: Path) -> None:
    """For ``pkgbuild``: the installer's scripts for the tree ``root``, in the new folder ``target``."""
    shutil.rmtree(target, ignore_errors=True)
    _stage_scripts(source, target, version, installed_kb(entries(root)))


def _pack(listed: Sequence[Entry], target: Path, when: int) -> None:
    with (
        target.open("wb") as raw,
        gzip.GzipFile(filename="", mode="wb", fileobj=raw, compresslevel=_LEVEL, mtime=0) as out,
    ):
        write_cpio(listed, out, mtime=when)  # type: ignore[arg-type]  # a GzipFile is written to like any file


def installed_kb(payload: Sequence[Entry]) -> int:
    """What the payload takes on the disk, in KiB, each file rounded up to a block of 4 KiB."""
    return sum(-(-entry.size // 4096) * 4 for entry in payload if entry.kind is Kind.FILE)


def package_info(version: str, payload: Sequence[Entry]) -> str:
    """``PackageInfo``: where the component goes, owned by root, never moved elsewhere by the installer."""
    return f"""<?xml version="1.0" encoding="utf-8"?>
<pkg-info format-version="2" identifier={quoteattr(identifier(version))} version={quoteattr(version)} \
install-location={quoteattr(PREFIX)} auth="root" overwrite-permissions="true" relocatable="false" postinstall-action="none">
    <payload numberOfFiles="{len(payload)}" installKBytes="{installed_kb(payload)}"/>
    <scripts>
        <preinstall file="./preinstall"/>
        <postinstall file="./postinstall"/>
    </scripts>
</pkg-info>
"""


def distribution(version: str, size_kb: int) -> str:
    """``Distribution``: for the whole machine, Apple silicon, a macOS that the libraries run on."""
    one = quoteattr(identifier(version))
    return f"""<?xml version="1.0" encoding="utf-8"?>
<installer-gui-script minSpecVersion="2">
    <title>{TITLE} {version}</title>
    <options customize="never" require-scripts="true" rootVolumeOnly="true" hostArchitectures="arm64"/>
    <domains enable_anywhere="false" enable_currentUserHome="false" enable_localSystem="true"/>
    <volume-check><allowed-os-versions><os-version min="{NEWEST_MACOS}.0"/></allowed-os-versions></volume-check>
    <choices-outline><line choice="default"><line choice={one}/></line></choices-outline>
    <choice id="default"/>
    <choice id={one} visible="false"><pkg-ref id={one}/></choice>
    <pkg-ref id={one} version={quoteattr(version)} installKBytes="{size_kb}" onConclusion="none">#{COMPONENT}</pkg-ref>
</installer-gui-script>
"""
