"""Unpacking what others packed: nothing leaves the folder, nothing has odd kinds, modes are ours."""

from __future__ import annotations

import shutil
import tarfile
import zipfile
from pathlib import Path, PurePosixPath
from typing import IO

from pkgmake.errors import BuildError


def unpack_tar(archive: Path, target: Path, *, strip: str) -> None:
    """Unpack a tar (gzip, xz or plain) into ``target``, taking the leading folder ``strip`` off each name.

    Raises:
        BuildError: no such archive, a name or link that leads outside, or something that is neither file, folder nor link.
    """
    try:
        with tarfile.open(archive) as tar:
            for member in tar:
                _unpack_member(tar, member, target, strip)
    except tarfile.TarError as error:
        raise BuildError(f"{archive.name} can't be unpacked ({error}).", "Give a .tar.gz.") from error


def _unpack_member(tar: tarfile.TarFile, member: tarfile.TarInfo, target: Path, strip: str) -> None:
    parts = PurePosixPath(member.name).parts
    if not parts or parts[0] != strip or ".." in parts:
        raise BuildError(f"{member.name!r} does not lie in {strip}/.", "Give the archive as it was published.")
    place = target.joinpath(*parts[1:])
    if member.isdir():
        place.mkdir(parents=True, exist_ok=True)
        return
    place.parent.mkdir(parents=True, exist_ok=True)
    if member.issym():
        _check_link(parts[1:], member.linkname)
        place.symlink_to(member.linkname)
    elif (member.isreg() or member.islnk()) and (body := _body(tar, member)) is not None:
        with place.open("wb") as out:
            shutil.copyfileobj(body, out)
        place.chmod(0o755 if member.mode & 0o100 else 0o644)
    else:
        raise BuildError(f"{member.name!r} is neither a file, a folder nor a link.", "Give another archive.")


def _body(tar: tarfile.TarFile, member: tarfile.TarInfo) -> IO[bytes] | None:
    """A file's bytes; a hard link's are those of the file that it names, which must be in the archive too."""
    try:
        return tar.extractfile(member)
    except KeyError:
        return None


def _check_link(parts: tuple[str, ...], link: str) -> None:
    """A link may point at what lies in the same folder tree, and only relatively."""
    depth = len(parts) - 1
    for part in PurePosixPath(link).parts:
        depth += -1 if part == ".." else 1
        if depth < 0 or part == "/":
            raise BuildError(f"The link {'/'.join(parts)} leads outside ({link}).", "Give another archive.")


def take_member(archive: Path, member: str, target: Path) -> None:
    """Take the file ``member`` out of a zip or tar; with an empty ``member`` the archive is that file itself.

    Raises:
        BuildError: no such archive or no such file in it.
    """
    target.write_bytes(read_member(archive, member) if member else archive.read_bytes())


def read_member(archive: Path, member: str) -> bytes:
    """One file of a zip or tar. Raises ``BuildError`` when it is not there."""
    try:
        if zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as zipped:
                return zipped.read(member)
        with tarfile.open(archive) as tar:
            found = tar.extractfile(member)
            body = found.read() if found is not None else None
    except (KeyError, tarfile.TarError, zipfile.BadZipFile):
        body = None
    if body is None:
        raise BuildError(f"{archive.name} has no file {member!r}.", "Correct the member in the inputs file.")
    return body
