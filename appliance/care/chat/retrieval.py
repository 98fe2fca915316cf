"""What of a patient's record is put before the model: the statements that fit the question, each with resource and version.

Text that speaks to the model instead of about the patient is withheld and named, so that a person reads it where it stands.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from functools import lru_cache
from typing import Final

import msgspec

from appliance.care.chat.statements import TOLD_TYPES, date_of, statements
from appliance.care.guard.evidence import Evidence
from appliance.care.guard.likeness import stem
from appliance.care.guard.numbers import fold
from appliance.plugin_api.errors import FORBIDDEN
from appliance.plugin_api.http import Principal
from appliance.plugin_api.storage import Query
from appliance.records import repository
from appliance.records.recent import recent
from appliance.records.stored import StoredVersion

MOST_SOURCES: Final = 40
MOST_CHARACTERS: Final = 6000
MOST_OF_A_TYPE: Final = 200
_ALWAYS: Final = {
    "Patient": 3.0,
    "AllergyIntolerance": 3.0,
    "Condition": 2.0,
    "MedicationStatement": 2.0,
    "MedicationRequest": 2.0,
}
"""What every answer should know of, by weight."""
_MATCH: Final = 4.0
_TOPICS: Final = {
    "AllergyIntolerance": "alergia alergico reacao", "Condition": "diagnostico doenca problema comorbidade antecedente",
    "MedicationStatement": "medicamento remedio droga uso toma dose", "MedicationRequest": "medicamento remedio prescricao uso dose",
    "Observation": "exame resultado sinal vital pressao valor laboratorio", "Procedure": "cirurgia procedimento operacao",
    "Immunization": "vacina", "FamilyMemberHistory": "familia pai mae irmao", "Encounter": "consulta atendimento internacao",
    "Composition": "nota consulta evolucao resumo", "DiagnosticReport": "exame laudo resultado imagem",
    "Patient": "idade nome sexo nascimento", "ServiceRequest": "pedido solicitado exame",
}  # fmt: skip
_TO_THE_MODEL: Final = tuple(
    re.compile(pattern)
    for pattern in (
        r"\b(?:ignor|desconsider|esquec|disregard|forget|overrid)\w*\b.{0,60}\b(?:instru|regra|rule|prompt|anterior|previous|acima|above)",
        r"\b(?:system prompt|prompt d[oe] sistema|jailbreak|developer mode|modo desenvolvedor)\b",
        r"\b(?:voce (?:e|sera|agora)|you are|aja como|act as|finja|pretend)\b.{0,40}\b(?:assist[ea]nte?|modelo?|ia|ai|chatbot)\b",
        r"\b(?:responda|diga|escreva|afirme|answer|reply|say|write)\b[\W_]{0,3}(?:apenas|somente|sempre|que|only|always|that)\b",
        r"</?(?:system|user|assistant|instructions?)\b|<start_of_turn>|<end_of_turn>|<\|",
        r"\b(?:nova instrucao|novas instrucoes|new instructions?)\b",
    )
)


class Source(msgspec.Struct, frozen=True):
    """One numbered statement: ``resource`` such as ``Observation/12`` in its ``version``; ``url`` leads to exactly that."""

    number: int
    resource: str
    version: int
    date: str
    text: str
    url: str


class Withheld(msgspec.Struct, frozen=True):
    """A resource with text that reads like an instruction to the model: not shown to it, to be read by a person."""

    resource: str
    version: int
    url: str


class Context(msgspec.Struct, frozen=True):
    """``sources`` is what the model reads; ``others`` was read of the record as well but did not fit the question.

    ``unread``: types of which there is more than was read, or that the caller may not read.
    """

    sources: tuple[Source, ...]
    others: tuple[Source, ...]
    withheld: tuple[Withheld, ...]
    unread: tuple[str, ...] = ()

    def may_hide(self, words: Collection[str]) -> list[str]:
        """Where something about ``words`` may stand that nobody has looked at: types, and resources that were withheld.

        Words that belong to certain types (an allergy) are looked for in those; others may stand anywhere.
        """
        stems = {stem(word) for word in words}
        about = {kind for kind in _TOPICS if stems & _topic(kind)}
        unseen = (*self.unread, *(one.resource for one in self.withheld))
        return [name for name in unseen if not about or name.partition("/")[0] in about]


def may_read(caller: Principal, resource_type: str) -> bool:
    """The same right that the FHIR routes ask for."""
    return caller.may("patient.read" if resource_type == "Patient" else "record.read")


def gather(q: Query, patient_id: str, question: str, caller: Principal) -> Context:
    """Read the record as far as ``caller`` may, and choose.

    Raises:
        ProntuarioError: ``forbidden`` 403 when the caller may read nothing of it, ``fhir.not_found`` 404, ``fhir.gone`` 410.
    """
    kinds = [kind for kind in TOLD_TYPES if may_read(caller, kind)]
    if not kinds:
        raise FORBIDDEN()
    patient = repository.read_stored(q, "Patient", patient_id)
    stored = [patient] if "Patient" in kinds else []
    unread = [kind for kind in TOLD_TYPES if kind not in kinds]
    for kind in kinds:
        if kind != "Patient":
            found = recent(q, patient_id, kind, MOST_OF_A_TYPE + 1)
            if len(found) > MOST_OF_A_TYPE:
                unread.append(kind)
            stored += found[:MOST_OF_A_TYPE]
    return msgspec.structs.replace(_choose(stored, question), unread=tuple(unread))


def speaks_to_the_model(text: str) -> bool:
    """Whether a text reads like an instruction to a language model. A net with holes: the claims are checked all the same."""
    folded = fold(text)
    return any(pattern.search(folded) for pattern in _TO_THE_MODEL)


def _choose(stored: Sequence[StoredVersion], question: str) -> Context:
    asked = {stem(token.text) for token in Evidence.of(question).content}
    told: list[tuple[float, Source]] = []
    withheld: dict[str, Withheld] = {}
    for one in stored:
        resource = one.resource()
        name = f"{one.type}/{one.id}"
        url = f"/fhir/R4/{name}/_history/{one.version}"
        for text in statements(resource):
            if speaks_to_the_model(text):
                withheld[name] = Withheld(name, one.version, url)
            else:
                source = Source(0, name, one.version, date_of(resource), text, url)
                told.append((_weight(one.type, text, asked), source))
    told.sort(key=lambda pair: (pair[0], pair[1].date), reverse=True)
    chosen, characters = [], 0
    for _weighed, source in told[:MOST_SOURCES]:
        characters += len(source.text)
        if characters > MOST_CHARACTERS:
            break
        chosen.append(source)
    numbered = [msgspec.structs.replace(source, number=number) for number, (_, source) in enumerate(told, 1)]
    return Context(tuple(numbered[: len(chosen)]), tuple(numbered[len(chosen) :]), tuple(withheld.values()))


def _weight(kind: str, text: str, asked: set[str]) -> float:
    words = {stem(token.text) for token in Evidence.of(text).content}
    topic = len(asked & _topic(kind))
    return _ALWAYS.get(kind, 0.0) + _MATCH * len(asked & words) + _MATCH * topic


@lru_cache(maxsize=64)
def _topic(kind: str) -> frozenset[str]:
    return frozenset(stem(word) for word in _TOPICS.get(kind, "").split())
