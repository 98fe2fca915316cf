"""JSON shapes of model packs. Sizes in bytes; an error that is told is in both languages, for whoever reads it."""

from __future__ import annotations

from typing import Annotated

import msgspec

from appliance.operations.packs.examination import Told
from appliance.operations.packs.picture import PackView
from appliance.operations.packs.places import Place


class Shelved(msgspec.Struct, frozen=True, kw_only=True):
    """Every installed pack, the numbers of the keys that this node trusts, and the disk's room.

    ``paired``: there is another node, to which files follow and activations do not.
    """

    packs: list[PackView]
    trusted: tuple[str, ...] = ()
    free_bytes: int = 0
    paired: bool = False


class PlaceList(msgspec.Struct, frozen=True):
    """From where packs may be imported."""

    places: list[Place]


class Offer(msgspec.Struct, frozen=True, kw_only=True):
    """A pack that could be imported. ``refused``: why not; without a ``pack`` it could not even be read.

    ``there_bytes`` are left of an interrupted attempt, ``needed_bytes`` of ``free_bytes`` it still takes; ``serving`` is what
    serves its ability now.
    """

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


class Chosen(msgspec.Struct, forbid_unknown_fields=True):
    """What to import: a place's id and a path below it."""

    place: Annotated[str, msgspec.Meta(min_length=1, max_length=1024)]
    path: Annotated[str, msgspec.Meta(min_length=1, max_length=4096)]
