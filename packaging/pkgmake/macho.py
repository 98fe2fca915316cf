"""Mach-O headers, as far as a package needs them: is this a program of macOS, for which processors, and one of them cut out.

Layout: <mach-o/loader.h> and <mach-o/fat.h> of macOS' SDK. A universal ("fat") file is a big-endian table of whole Mach-O
files one behind the other; each carries its own signature, so the one for arm64 stays valid when it is taken out.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from pkgmake.errors import BuildError

ARM64: Final = 0x0100000C
"""CPU_TYPE_ARM | CPU_ARCH_ABI64."""
_NAMES: Final = {ARM64: "arm64", 0x01000007: "x86_64", 7: "i386", 12: "arm", 0x0200000C: "arm64_32"}
_THIN: Final = {b"\xcf\xfa\xed\xfe": "<", b"\xce\xfa\xed\xfe": "<", b"\xfe\xed\xfa\xcf": ">", b"\xfe\xed\xfa\xce": ">"}
_FAT: Final = {b"\xca\xfe\xba\xbe": 20, b"\xca\xfe\xba\xbf": 32}
_MOST_SLICES: Final = 20
"""A Java class file begins with the same four bytes; its next number is a version, 45 or more."""
_FOREIGN: Final = {b"\x7fELF": "an ELF program (Linux)"}
_EXECUTE: Final = 2
_HEADER_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class Slice:
    """One processor's part of a file: ``offset`` and ``size`` in bytes; the whole file when it is thin."""

    cpu: str
    offset: int
    size: int


def slices_of(path: Path) -> list[Slice]:
    """The processors that a Mach-O file is made for; empty when it is none.

    Raises:
        BuildError: a universal file whose table points outside it.
    """
    with path.open("rb") as file:
        head = file.read(8)
        if len(head) < 8:  # noqa: PLR2004  a magic and one number
            return []
        size = path.stat().st_size
        if (order := _THIN.get(head[:4])) is not None:
            return [Slice(_cpu(struct.unpack(f"{order}I", head[4:])[0]), 0, size)]
        width = _FAT.get(head[:4])
        count = struct.unpack(">I", head[4:])[0]
        if width is None or not 0 < count <= _MOST_SLICES:
            return []
        return _fat_slices(file, width, count, size)


def _fat_slices(file: BinaryIO, width: int, count: int, size: int) -> list[Slice]:
    table = file.read(width * count)
    if len(table) != width * count:
        raise BuildError("A universal program is cut short.", "Get it again.")
    layout = ">IIIII" if width == 20 else ">IIQQII"  # noqa: PLR2004  fat_arch and fat_arch_64
    found = []
    for number in range(count):
        cpu, _, offset, length, *_ = struct.unpack_from(layout, table, width * number)
        if offset + length > size:
            raise BuildError("A universal program's table points outside it.", "Get it again.")
        found.append(Slice(_cpu(cpu), offset, length))
    return found


def _cpu(number: int) -> str:
    return _NAMES.get(number, f"cpu-{number:#x}")


def is_program(path: Path) -> bool:
    """Whether a thin Mach-O is a main program (MH_EXECUTE) and not a library or a bundle."""
    with path.open("rb") as file:
        head = file.read(_HEADER_BYTES)
    order = _THIN.get(head[:4])
    return order is not None and len(head) >= 16 and struct.unpack_from(f"{order}I", head, 12)[0] == _EXECUTE  # noqa: PLR2004


def foreign(path: Path) -> str | None:
    """What a program of another system is, if ``path`` is one."""
    with path.open("rb") as file:
        head = file.read(0x40)
        if (kind := _FOREIGN.get(head[:4])) is not None:
            return kind
        if head[:2] == b"MZ" and len(head) == 0x40:  # noqa: PLR2004  the DOS header
            file.seek(struct.unpack_from("<I", head, 0x3C)[0])
            if file.read(4) == b"PE\0\0":
                return "a PE program (Windows)"
    return None


def thin(path: Path, cpu: str = "arm64") -> bool:
    """Replace a universal file by its part for ``cpu``; whether it was one.

    Raises:
        BuildError: it has no such part.
    """
    parts = slices_of(path)
    if len(parts) < 2 and not (parts and parts[0].offset):  # noqa: PLR2004
        return False
    wanted = next((part for part in parts if part.cpu == cpu), None)
    if wanted is None:
        raise BuildError(f"{path.name} has no part for {cpu}.", "Use the file that is made for Apple silicon.")
    with path.open("rb") as file:
        file.seek(wanted.offset)
        body = file.read(wanted.size)
    path.write_bytes(body)
    return True
