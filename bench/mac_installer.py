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


def lay_down(entry: CpioEntry, below: Path) -> None:
    """One file, folder or link of the payload."""
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
    below = target / PREFIX.lstrip("/")
    with Archive(package) as archive, tempfile.TemporaryDirectory() as folder:
        scripts = Path(folder)
        for entry in read_cpio(io.BytesIO(gzip.decompress(archive.read(f"{COMPONENT}/Scripts")))):
            if entry.path != ".":
                lay_down(entry, scripts)
        words = [str(package), PREFIX, str(target), "/"]
        if status := subprocess.run([scripts / "preinstall", *words], check=False).returncode:
            return status
        for entry in read_cpio(io.BytesIO(gzip.decompress(archive.read(f"{COMPONENT}/Payload")))):
            lay_down(entry, below)
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
