"""What the person says: one file of answers, or one question after the other."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, Literal

import msgspec

from appliance.daemon.setup.errors import ANSWER

Part = Literal["first", "second"]
Phase = Literal["single", "pair"]


class Answers(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Every question's answer. None is a secret: the code of the second Mac is given on the command line."""

    part: Part = "first"
    """The first Mac, or the second one of a pair."""
    first: str = ""
    """On the second Mac: ``host:port`` where the first one waits."""
    hospital: str = ""
    name: str = ""
    """This Mac's name, in certificates and logs."""
    phase: Phase = "single"
    interface: str = ""
    address: str = ""
    """This Mac's address on the hospital's network."""
    peer_address: str = ""
    witness_address: str = ""
    """The third voter's address; empty: there is none, and no automatic takeover."""
    vip: str = ""
    """The virtual IP that phones use."""
    link_address: str = ""
    peer_link_address: str = ""
    admin: str = ""
    """The administrator's user name."""
    holders: tuple[str, ...] = ()
    """Who keeps a page of the key each."""
    needed: int = 2
    """How many pages give the key back."""
    papers: str = ""
    """The folder for what is printed."""
    pack: str = ""
    """A model pack's folder; empty: none now."""
    pack_key: str = ""
    """The public key that signed it."""
    phone_user: str = ""
    """Who gets the first phone; empty: nobody now."""
    phone_role: str = "physician"
    profile: Literal["", "production", "development"] = ""
    """Empty: production on a Mac."""


def read_answers(path: Path) -> dict[str, Any]:
    """The answers in a TOML file, as far as they are given.

    Raises:
        ProntuarioError: ``setup.answer`` 422 with every fault of the file's form.
    """
    try:
        given = tomllib.loads(path.read_text(encoding="utf-8"))
        msgspec.convert(given, Answers)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise ANSWER(reasons=f"{path.name}: {getattr(error, 'strerror', None) or error}") from error
    return given
