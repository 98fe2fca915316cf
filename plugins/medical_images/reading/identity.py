"""Whose picture the header says it is, against the patient who was claimed.

Strict on purpose: a picture in the wrong record can hurt two people, and a refused one is only sent again. A birth date that
differs always refuses. An identifier that differs is forgiven only where the whole name and the birth date agree (another
hospital numbers its patients otherwise). Particles, accents and the order of names do not count.
"""

from __future__ import annotations

import unicodedata
from typing import Any, Final

import msgspec

from appliance.plugin_api.images import IdentityCheck, PatientClaim
from plugins.medical_images.reading.refusals import WRONG_PATIENT, RefusedError

_PARTICLES: Final = frozenset({"da", "das", "de", "del", "di", "do", "dos", "du", "e", "van", "von"})
_NOBODY: Final = frozenset(
    {"anonymous", "anonymized", "anonymised", "anon", "anonimo", "anonimizado", "unknown", "none", "noname"}
)
_DATE_DIGITS: Final = 8


class Named(msgspec.Struct, frozen=True):
    """What a header says of its patient, as it stands there; empty where it says nothing."""

    identifiers: tuple[str, ...] = ()
    name: str = ""
    birth_date: str = ""


def named_in(data: Any) -> Named:
    """From a DICOM data set (PS3.3 C.7.1.1); one that was made anonymous names nobody."""
    if str(data.get("PatientIdentityRemoved", "")).strip().upper() == "YES":
        return Named()
    others = [item.get("PatientID") for item in data.get("OtherPatientIDsSequence") or []]
    identifiers = tuple(str(value).strip() for value in (data.get("PatientID"), *others) if value)
    name = str(data.get("PatientName") or "").split("=")[0]
    return Named(identifiers, name, str(data.get("PatientBirthDate") or ""))


def check(named: Named, claim: PatientClaim | None) -> IdentityCheck:
    """How the header stands to the claim.

    Raises:
        RefusedError: ``image.wrong_patient``; ``details["what"]`` says which fields differ, never what they hold.
    """
    if claim is None:
        return "unchecked"
    birth = _agree_dates(named.birth_date, claim.birth_date)
    if birth is False:
        raise RefusedError(WRONG_PATIENT, what="PatientBirthDate")
    identifier = _agree_identifiers(named.identifiers, claim.identifiers)
    name = _agree_names(named.name, claim.names)
    if identifier is False and not (name and birth):
        raise RefusedError(WRONG_PATIENT, what="PatientID")
    if name is False and not (identifier and birth):
        raise RefusedError(WRONG_PATIENT, what="PatientName")
    return "match" if identifier or name else "absent"


def _agree_dates(one: str, other: str) -> bool | None:
    """None: one of them is missing or no date."""
    digits = ["".join(c for c in text if c.isdigit()) for text in (one, other)]
    return digits[0] == digits[1] if all(len(text) == _DATE_DIGITS for text in digits) else None


def _agree_identifiers(header: tuple[str, ...], claimed: tuple[str, ...]) -> bool | None:
    theirs, ours = ({_plain(one) for one in many} - {""} for many in (header, claimed))
    return bool(theirs & ours) if theirs and ours else None


def _agree_names(header: str, claimed: tuple[str, ...]) -> bool | None:
    words = _words(header)
    known = [found for found in (_words(name) for name in claimed) if found]
    if not words or not known:
        return None
    return any(_same_person(words, other) for other in known)


def _same_person(one: list[str], other: list[str]) -> bool:
    """Every word of the shorter name stands in the longer one, if need be as its initial; one word alone is no name."""
    shorter, longer = sorted((one, other), key=len)
    if len(shorter) == 1:
        return one == other
    left = list(longer)
    for word in sorted(shorter, key=len, reverse=True):
        found = next((w for w in left if w == word), None) or next((w for w in left if _initial(w, word)), None)
        if found is None:
            return False
        left.remove(found)
    return any(len(word) > 1 and word in longer for word in shorter)


def _initial(one: str, other: str) -> bool:
    return (len(one) == 1 or len(other) == 1) and one[0] == other[0]


def _words(name: str) -> list[str]:
    folded = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    words = "".join(c if c.isalnum() else " " for c in folded).split()
    return [] if _NOBODY & set(words) else [word for word in words if word not in _PARTICLES]


def _plain(identifier: str) -> str:
    plain = "".join(c for c in identifier if c.isalnum()).casefold().lstrip("0")
    return "" if plain in _NOBODY else plain
