"""Whether the paper is the patient's: names and dates compared, never decided."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from typing import Any, Final

from appliance.care.documents_model import Warned
from appliance.plugin_api.paper import LabReport

_PARTICLES: Final = frozenset({"da", "de", "do", "das", "dos", "e"})
_LETTERS: Final = re.compile(r"[a-z]+")
_FEWEST: Final = 2
_DATE: Final = re.compile(r"(\d{2})/(\d{2})/(\d{4})")


def warnings(report: LabReport, patient: Mapping[str, Any]) -> list[Warned]:
    """What a person should look at before any value of ``report`` becomes one of ``patient`` (a FHIR Patient)."""
    names = _names(patient)
    recorded = names[0] if names else ""
    found: list[Warned] = []
    if report.patient_name is None:
        found.append(Warned("name_not_found", "", recorded))
    elif not any(same_person(report.patient_name.text, name) for name in names):
        found.append(Warned("name_differs", report.patient_name.text, recorded))
    born = str(patient.get("birthDate", ""))
    if report.birth_date is not None and born:
        printed = iso_date(report.birth_date.text)
        if not printed.startswith(born):
            found.append(Warned("birth_date_differs", report.birth_date.text, born))
    return found


def same_person(printed: str, recorded: str) -> bool:
    """Whether the shorter name has no word that the longer lacks; an initial stands for any word that begins with it.

    First names must agree, and at least two words: "Maria Silva" may be "Maria da Silva Amostra", never "João Silva".
    """
    one, other = _words(printed), _words(recorded)
    short, long = (one, other) if len(one) <= len(other) else (other, one)
    if len(short) < _FEWEST or not _fits(one[0], other[0]):
        return False
    left = list(long)
    for word in short:
        match = next((candidate for candidate in left if _fits(word, candidate)), None)
        if match is None:
            return False
        left.remove(match)
    return True


def iso_date(printed: str) -> str:
    """``"14/03/1968"`` → ``"1968-03-14"``; empty for anything else."""
    found = _DATE.fullmatch(printed)
    return f"{found[3]}-{found[2]}-{found[1]}" if found else ""


def _fits(one: str, other: str) -> bool:
    return one == other or (min(len(one), len(other)) == 1 and one[0] == other[0])


def _words(name: str) -> list[str]:
    plain = "".join(sign for sign in unicodedata.normalize("NFKD", name.lower()) if not unicodedata.combining(sign))
    return [word for word in _LETTERS.findall(plain) if word not in _PARTICLES]


def _names(patient: Mapping[str, Any]) -> list[str]:
    return [
        str(name.get("text") or " ".join([*name.get("given", []), str(name.get("family", ""))])).strip()
        for name in patient.get("name", [])
    ]
