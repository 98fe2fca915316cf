"""What ``installer -pkg FILE -target /`` does on a Mac, for a stand-in Mac: preinstall, payload, postinstall."""

from __future__ import annotations

import argparse
import gzip
import io
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[1] / "packaging")]

from flatpkg import Archive, CpioEntry, read_cpio
from pkgmake.assemble import PREFIX
from pkgmake.package import COMPONENT


def unpack(archive: Archive, part: str, below: Path, *, only: int | None = None) -> None:
    """``part`` is Payload or Scripts; ``only``: the machine dies before entry number so many, counted from 0."""
    packed = gzip.decompress(archive.read(f"{COMPONENT}/{part}"))
    for number, entry in enumerate(read_cpio(io.BytesIO(packed))):
        if number == only:
            return
        _lay_down(entry, below)


def _lay_down(entry: CpioEntry, below: Path) -> None:
    """One file, folder or link."""
    place = below / entry.path
    if entry.is_link:
        place.unlink(missing_ok=True)
        place.symlink_to(entry.data.decode())
    elif entry.mode & 0o040000:
        place.mkdir(parents=True, exist_ok=True)
    else:
        place.write_bytes(entry.data)
    if not entry.is_link:
        place.chmod(entry.mode & 0o777)


def install(package: Path, target: Path) -> int:
    """Exit status: 0, or that of the script that refused."""
    with Archive(package) as archive, tempfile.TemporaryDirectory() as folder:
        scripts = Path(folder)
        unpack(archive, "Scripts", scripts)
        words = [str(package), PREFIX, str(target), "/"]
        if status := subprocess.run([scripts / "preinstall", *words], check=False).returncode:
            return status
        unpack(archive, "Payload", target / PREFIX.lstrip("/"))
        return subprocess.run([scripts / "postinstall", *words], check=False).returncode


def main() -> int:
    """Parse and install."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-pkg", type=Path, required=True)
    parser.add_argument("-target", type=Path, required=True)
    options = parser.parse_args()
    return install(options.pkg, options.target)


if __name__ == "__main__":
    sys.exit(main())
