"""Every file of an installed pack that is not as signed. ``Shelf.verify`` stops at the first one: a person who repairs wants all."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from appliance.operations.packs.contents import check_file, check_whole
from appliance.operations.packs.errors import ALTERED, TRUNCATED, UNLISTED
from appliance.operations.packs.manifest import MANIFEST_NAME, PackFile, PackManifest
from appliance.operations.packs.shelf import OnBytes, Shelf, check_hash
from appliance.operations.packs.survey import survey
from appliance.plugin_api.errors import ProntuarioError

MOST_WRONG: Final = 200


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """An error as people read it, in both languages; ``code`` is empty where nothing is wrong."""

    code: str = ""
    pt: str = ""
    en: str = ""
    step_pt: str = ""
    step_en: str = ""


class Wrong(msgspec.Struct, frozen=True):
    """A file and what is wrong with it."""

    file: str
    told: Told


def told(error: ProntuarioError) -> Told:
    """The error's words."""
    return Told(
        code=error.kind.code, pt=error.sentence("pt"), en=error.sentence("en"), step_pt=error.next_step("pt"),
        step_en=error.next_step("en"),
    )  # fmt: skip


def examine(shelf: Shelf, pack: str, on_bytes: OnBytes = lambda _: None) -> tuple[Wrong, ...]:
    """Read every byte of ``pack``; what is wrong, at most ``MOST_WRONG`` files of it. Empty: it is as it was signed.

    Raises:
        ProntuarioError: ``pack.unknown`` (404); OSError: the disk.
    """
    folder = shelf.find(pack)
    try:
        manifest = shelf.manifest(folder)
    except ProntuarioError as error:
        return (Wrong(MANIFEST_NAME, told(error)),)
    found: dict[str, Wrong] = {}
    for file, reason in _errors(folder, manifest, on_bytes):
        found.setdefault(file, Wrong(file, told(reason)))
        if len(found) == MOST_WRONG:
            break
    return tuple(found.values())


def _errors(folder: Path, manifest: PackManifest, on_bytes: OnBytes) -> Iterator[tuple[str, ProntuarioError]]:
    found = [*_added(folder, manifest), *_parts(folder, manifest, on_bytes)]
    yield from found
    if not found:
        try:
            check_whole(folder, manifest)
        except ProntuarioError as error:
            yield MANIFEST_NAME, error


def _added(folder: Path, manifest: PackManifest) -> Iterator[tuple[str, ProntuarioError]]:
    listed = {file.path for file in manifest.files}
    try:
        present = survey(folder)
    except ProntuarioError as error:  # a link, a device, a pickle: which one, its sentence says
        yield str(error.details.get("file", "")), error
        return
    for relative in present:
        if relative not in listed:
            yield relative, UNLISTED(file=relative)


def _parts(folder: Path, manifest: PackManifest, on_bytes: OnBytes) -> Iterator[tuple[str, ProntuarioError]]:
    for file in manifest.files:
        try:
            _check(folder, file, on_bytes)
        except ProntuarioError as error:
            yield file.path, error


def _check(folder: Path, file: PackFile, on_bytes: OnBytes) -> None:
    path = folder / file.path
    if not path.is_file() or path.is_symlink() or path.stat().st_size < file.size:
        on_bytes(file.size)  # nothing to read, but done with
        raise TRUNCATED(file=file.path)
    if path.stat().st_size > file.size:
        on_bytes(file.size)
        raise ALTERED(file=file.path)
    check_hash(path, file, on_bytes)
    check_file(path, file.path)
