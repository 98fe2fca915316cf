"""macOS flat packages in pure Python: write, read, sign and verify them on any machine.

A flat package is a xar archive that holds a ``Distribution`` and, for each component, ``PackageInfo``, ``Bom``, ``Payload`` (gzip of
cpio odc) and ``Scripts``. Formats: xar(1) wiki "xarformat", POSIX.1-1988 cpio ("odc"), and the BOM layout as described by bomutils.
Nothing here runs in the appliance: it is a tool of the build.
"""

from flatpkg.bom import BomEntry, read_bom, write_bom
from flatpkg.cpio import CpioEntry, read_cpio, write_cpio
from flatpkg.errors import PackageError
from flatpkg.signing import Signer, verify_package
from flatpkg.tree import Entry, Kind, entries
from flatpkg.xar import Member, write_xar
from flatpkg.xar_read import Archive

__all__ = [
    "Archive",
    "BomEntry",
    "CpioEntry",
    "Entry",
    "Kind",
    "Member",
    "PackageError",
    "Signer",
    "entries",
    "read_bom",
    "read_cpio",
    "verify_package",
    "write_bom",
    "write_cpio",
    "write_xar",
]
