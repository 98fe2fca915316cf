"""Words that a recogniser should expect in a dictation about a patient: their names, their allergies, the drugs they take.

Only of the record of that one patient, and only what the person who dictates may read there. Where they leave room, the
hospital's own words and those that came with the model go before them. The hint travels with the sound and is kept nowhere: not in
the transcript, not in logs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from appliance.care import hospital_words
from appliance.care.model import Dictation
from appliance.plugin_api.capabilities import ModelInfo
from appliance.plugin_api.errors import ProntuarioError
from appliance.plugin_api.storage import Query
from appliance.records import repository
from appliance.records.recent import recent
from appliance.security import users
from appliance.security.policy import permissions_of

MOST_CHARACTERS: Final = 480
"""About 200 tokens: Whisper reads half a context (224) of hint, and keeps its end."""
MOST_OF_A_KIND: Final = 16
MOST_COMMON: Final = 64
"""Of the hospital's and the model's words; how many of them there is room for is another matter."""
_LONGEST_TERM: Final = 60
_LOOKED_AT: Final = 200
_ACTIVE: Final = frozenset({"active", "intended"})
_NO_ALLERGY: Final = frozenset({"refuted", "entered-in-error", "inactive", "resolved"})

Resource = Mapping[str, Any]


def hint_for(dictation: Dictation, model: ModelInfo, q: Query) -> str:
    """The hint for a dictation; empty for a model that was not trained with hints, which would only be confused by it."""
    return vocabulary(q, dictation.patient_id, dictation.author, model.terms) if model.vocabulary else ""


def vocabulary(q: Query, patient_id: str, author: str, of_model: Iterable[str] = ()) -> str:
    """The hint for what ``author`` (a user's id) dictates about this patient.

    Of the record only what they may read; ``of_model`` are the words that came with the model. What stands last counts most:
    a recogniser reads the end of a hint that is too long, and so the patient's own words are the last to be left out.
    """
    allowed = _permissions(q, author)
    told = _labelled("Termos", (*hospital_words.current(q).words, *of_model), most=MOST_COMMON)
    if "record.read" in allowed:
        told += _labelled("Em uso", _drugs(q, patient_id))
        told += _labelled("Alergias", _allergies(q, patient_id))
    if "patient.read" in allowed:
        told += _labelled("Paciente", _names(q, patient_id))
    return " ".join(_within(told))


def _permissions(q: Query, author: str) -> frozenset[str]:
    try:
        person = users.get_user(q, author)
    except ProntuarioError:
        return frozenset()
    return frozenset() if person.disabled_at is not None else permissions_of(person.role)


def _names(q: Query, patient_id: str) -> Iterator[str]:
    try:
        patient = repository.read(q, "Patient", patient_id)
    except ProntuarioError:  # deleted since, or never synchronised: there is no name to expect
        return
    for name in patient.get("name", []):
        parts = [*name.get("given", []), name.get("family", "")]
        yield str(name.get("text") or " ".join(filter(None, parts)))


def _drugs(q: Query, patient_id: str) -> Iterator[str]:
    for kind in ("MedicationStatement", "MedicationRequest"):
        for stored in recent(q, patient_id, kind, _LOOKED_AT):
            drug = stored.resource()
            if drug.get("status") in _ACTIVE:
                yield _concept(drug.get("medicationCodeableConcept")) or _text(
                    drug.get("medicationReference"), "display"
                )


def _allergies(q: Query, patient_id: str) -> Iterator[str]:
    for stored in recent(q, patient_id, "AllergyIntolerance", _LOOKED_AT):
        allergy = stored.resource()
        states = {_code(allergy.get("verificationStatus")), _code(allergy.get("clinicalStatus"))}
        if not states & _NO_ALLERGY:
            yield _concept(allergy.get("code"))


def _labelled(label: str, terms: Iterable[str], most: int = MOST_OF_A_KIND) -> list[str]:
    """One sentence of different terms, or nothing: the form in which Whisper met such words."""
    found: dict[str, str] = {}
    for term in map(_clean, terms):
        if term and len(found) < most:
            found.setdefault(term.casefold(), term)
    return [f"{label}: {', '.join(found.values())}."] if found else []


def _within(sentences: list[str]) -> list[str]:
    """The hint within its limit: of a list that is too long its last terms are left out, never half a word."""
    left, kept = MOST_CHARACTERS, list[str]()
    for sentence in reversed(sentences):
        shorter = sentence
        while len(shorter) > left and ", " in shorter:
            shorter = shorter.rpartition(", ")[0] + "."
        if len(shorter) <= left:
            kept.append(shorter)
            left -= len(shorter) + 1
    return kept[::-1]


def _clean(text: str) -> str:
    """One line of printable characters, cut between words."""
    words = "".join(character if character.isprintable() else " " for character in text).split()
    while words and len(" ".join(words)) > _LONGEST_TERM:
        words.pop()
    return " ".join(words).strip(" .,;:")


def _concept(value: Any) -> str:
    codings = value.get("coding", []) if isinstance(value, Mapping) else []
    return _text(value, "text") or next(filter(None, (_text(coding, "display") for coding in codings)), "")


def _code(value: Any) -> str:
    codings = value.get("coding", []) if isinstance(value, Mapping) else []
    return _text(codings[0], "code") if codings else ""


def _text(value: Any, name: str) -> str:
    return str(value.get(name) or "") if isinstance(value, Mapping) else ""
