"""Model packs as core tells them, as far as the dashboard shows them. Sizes in bytes."""

from __future__ import annotations

import msgspec


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """An error's sentence and next step in both languages; ``code`` is empty where nothing is wrong."""

    code: str = ""
    pt: str = ""
    en: str = ""
    step_pt: str = ""
    step_en: str = ""


class Begun(msgspec.Struct, frozen=True):
    """An order was recorded and begins; ``id`` is its work's."""

    id: str
    state: str


class WrongFile(msgspec.Struct, frozen=True):
    """A file that is not as it was signed."""

    file: str
    told: Told


class PackRow(msgspec.Struct, frozen=True, kw_only=True):
    """A pack on the shelf; ``state`` is ``active``, ``previous``, ``standby`` or ``trouble``."""

    pack: str
    capability: str
    state: str
    trouble: Told = Told()
    name: str = ""
    version: int = 0
    bytes: int = 0
    footprint_bytes: int = 0
    files: int = 0
    licence: str = ""
    intended_use: str = ""
    signed_by: str = ""
    mac_only: bool = False


class Shelf(msgspec.Struct, frozen=True, kw_only=True):
    """Every pack, the keys that are trusted, the disk's room."""

    packs: list[PackRow]
    trusted: tuple[str, ...] = ()
    free_bytes: int = 0
    paired: bool = False


class FileRow(msgspec.Struct, frozen=True):
    """One file of a pack."""

    path: str
    size: int
    sha256: str


class PackText(msgspec.Struct, frozen=True, kw_only=True):
    """A pack's texts in full."""

    pack: str
    licence: str
    intended_use: str
    files: tuple[FileRow, ...]


class PlaceRow(msgspec.Struct, frozen=True):
    """From where packs may be imported."""

    id: str
    folder: str
    there: bool


class PlaceList(msgspec.Struct, frozen=True):
    """All of them."""

    places: list[PlaceRow]


class EntryRow(msgspec.Struct, frozen=True):
    """What lies in a place: ``kind`` is ``folder``, ``pack`` or ``archive``."""

    name: str
    path: str
    kind: str
    bytes: int = 0


class Listing(msgspec.Struct, frozen=True, kw_only=True):
    """One folder of a place."""

    place: str
    folder: str
    path: str
    entries: tuple[EntryRow, ...]
    complete: bool = True


class Offer(msgspec.Struct, frozen=True, kw_only=True):
    """What importing would bring; ``refused`` says why it can't be done."""

    refused: Told = Told()
    pack: str = ""
    capability: str = ""
    version: int = 0
    bytes: int = 0
    files: int = 0
    footprint_bytes: int = 0
    licence: str = ""
    intended_use: str = ""
    signed_by: str = ""
    mac_only: bool = False
    serving: str = ""
    there_bytes: int = 0
    needed_bytes: int = 0
    free_bytes: int = 0


class WorkRow(msgspec.Struct, frozen=True, kw_only=True):
    """Work on the shelf; ``state`` is ``running``, ``done``, ``failed`` or ``stopped``."""

    id: str
    kind: str
    what: str
    by: str
    began: str
    state: str
    ended: str = ""
    done_bytes: int = 0
    all_bytes: int = 0
    pack: str = ""
    capability: str = ""
    before: str = ""
    serving: str = ""
    wrong: tuple[WrongFile, ...] = ()
    told: Told = Told()
