"""An answer taken apart into claims, each held to the record by the guard of the notes.

A claim is *supported* by the sources that carry it, *absent* when it says that the record is silent and it is, and else
*unsupported* or *contradicted*: it is shown all the same, and marked.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final, Literal

import msgspec

from appliance.care import guard
from appliance.care.chat.retrieval import Context, Source
from appliance.care.guard import lexicon
from appliance.care.guard.evidence import Evidence
from appliance.care.guard.numbers import fold
from appliance.care.guard.word_lists import words

Status = Literal["supported", "absent", "unsupported", "contradicted"]
MOST_CITED: Final = 3
_CITED: Final = re.compile(r"\s*\[(\d{1,4}(?:\s*[,;e]\s*\d{1,4})*)\]")
_END: Final = re.compile(r"(?<=[.!?;])(?=\s)|(?<=\n)|(?<=\])(?=\s+[A-ZÀ-Ý])")
_BULLET: Final = re.compile(r"^\s*(?:[-*•]|\d{1,2}[.)](?=\s))\s*")
_ABBREVIATION: Final = re.compile(r"\b(?:dr|dra|sr|sra|ex|prof)\.$", re.IGNORECASE)
_SILENCE: Final = re.compile(
    r"\bnao (?:ha|houve|consta|constam|encontr\w+|existe|existem|foi|foram|aparece\w*)\b.{0,60}?\b"
    r"(?:mencao|mencoes|registros?|registrad\w+|informac\w+|informad\w+|anotac\w+|dados?|relatos?|prontuario|encontrad\w+)\b"
    r"|\bsem (?:registros?|mencao|informac\w+|dados?)\b|\bnao (?:consta|constam|encontrei|aparece)\b"
)
_ABOUT_SILENCE: Final = words("""
    mencao mencoes registro registros registrado registrada registrados registradas informacao informacoes informado
    informada anotacao anotacoes dado dados relato relatos prontuario encontrado encontrada encontrei encontramos consta
    constam existe existem aparece aparecem houve sobre paciente nenhum nenhuma
    """)
_CLAUSE: Final = re.compile(r"[,:](?!\d)|\b(?:e|mas|porem|entretanto|contudo|portanto|entao|logo)\b")
_ASSERTS: Final = re.compile(
    r"\b(?:usa|toma|tem|faz|refere|relata|apresenta|podem?|devem?|recomend\w+|suger\w+|prescrev\w+)\b"
)
_FIGURES: Final = lexicon.DOSE_UNITS | lexicon.MEASURE_UNITS
"""What is counted in these is a dose or a finding; "nos últimos 6 meses" only says how far back the record is silent."""


class Citation(msgspec.Struct, frozen=True):
    """The source of a claim."""

    number: int
    resource: str
    version: int
    url: str


class Claim(msgspec.Struct, frozen=True):
    """One sentence of an answer. ``conflicts``: sources that say the opposite; ``problems``: what nothing carries."""

    text: str
    status: Status
    citations: tuple[Citation, ...] = ()
    conflicts: tuple[Citation, ...] = ()
    problems: tuple[guard.Problem, ...] = ()


class Splitter:
    """Cuts a growing text into sentences as they become complete."""

    def __init__(self) -> None:
        self._rest = ""

    def feed(self, text: str) -> Iterator[str]:
        """The sentences that this piece completes."""
        self._rest += text
        *whole, self._rest = _parts(self._rest)
        if whole and self._rest.lstrip()[:1] in (
            "",
            "[",
        ):  # a citation may still come and belongs to the sentence before
            self._rest = whole.pop() + self._rest
        yield from (sentence for sentence in whole if _says_something(sentence))

    def end(self) -> Iterator[str]:
        """What is left."""
        rest, self._rest = self._rest, ""
        if _says_something(rest):
            yield rest


def _parts(text: str) -> list[str]:
    parts = [""]
    for piece in _END.split(text):
        if parts[-1] and (_ABBREVIATION.search(parts[-1]) or _CITED.fullmatch(piece.rstrip(".;"))):
            parts[-1] += piece  # "[2]" after a full stop belongs to the sentence before it
        elif parts[-1]:
            parts.append(piece)
        else:
            parts[-1] = piece
    return parts


def _says_something(sentence: str) -> bool:
    return re.search(r"\w", _CITED.sub("", sentence)) is not None


def judge(sentence: str, context: Context) -> Claim:
    """Hold one sentence to the record. Numbers in square brackets are what the model says its sources are."""
    text = " ".join(_BULLET.sub("", _CITED.sub("", sentence)).split())
    sources = {source.number: source for source in (*context.sources, *context.others)}
    if _SILENCE.search(fold(text)):
        return _silent(text, list(sources.values()), context)
    lines = {number: source.text for number, source in sources.items()}
    cited = [int(number) for group in _CITED.findall(sentence) for number in re.findall(r"\d+", group)]
    cited = list(dict.fromkeys(number for number in cited if number in sources))[:MOST_CITED]
    carried, verdict = _carried(text, cited, lines, [source.number for source in context.sources])
    conflicts = _opposites(text, lines, carried)
    if carried:
        return Claim(text, "supported", _citations(carried, sources), _citations(conflicts, sources))
    status: Status = "contradicted" if conflicts else "unsupported"
    return Claim(text, status, (), _citations(conflicts, sources), verdict.problems)


def _carried(
    text: str, cited: Sequence[int], lines: dict[int, str], shown: Sequence[int]
) -> tuple[list[int], guard.Verdict]:
    """The sources that carry the text: those that the model cites, else one that it was shown. Without one, the nearest miss."""
    nearest = guard.check_sentence(text, cited, lines)
    if nearest.supported:
        return list(cited), nearest
    for number in shown:
        verdict = guard.check_sentence(text, [number], lines)
        if verdict.supported:
            return [number], verdict
        if not cited and (len(verdict.problems) < len(nearest.problems) or nearest.problems[0].code == "no_segment"):
            nearest = verdict
    return [], nearest


def _opposites(text: str, lines: dict[int, str], carried: Sequence[int]) -> list[int]:
    """Sources that tell the same with the opposite polarity: nothing else is wrong with them but the negation."""
    found = [number for number, line in lines.items() if number not in carried and guard.opposes(text, line)]
    return found[:MOST_CITED]


def _silent(text: str, sources: Sequence[Source], context: Context) -> Claim:
    """Whether the record is as silent as the answer says, and the answer says nothing else.

    Where it was not read to its end nobody can say that it is silent: such a claim has the problem ``unread``.
    """
    wanted = [token.text for token in Evidence.of(text).content if token.text not in _ABOUT_SILENCE]
    if not wanted:
        return Claim(text, "unsupported", problems=(guard.Problem("invention", text),))
    found = [source for source in sources if any(Evidence.of(source.text).support(word) for word in wanted)]
    if not found:
        besides = [guard.Problem("invention", clause) for clause in _besides(text)]
        if unseen := context.may_hide([token.text for token in Evidence.of(text).content]):
            besides.append(guard.Problem("unread", ", ".join(unseen)))
        return Claim(text, "unsupported", problems=tuple(besides)) if besides else Claim(text, "absent")
    known = {source.number: source for source in found}
    return Claim(text, "contradicted", conflicts=_citations(list(known)[:MOST_CITED], known))


def _besides(text: str) -> Iterator[str]:
    """The clauses that do not speak of silence but of the patient: "não há registro de alergia, mas pode usar 5 mg"."""
    for clause in _CLAUSE.split(fold(text)):
        told = Evidence.of(clause)
        figures = told.structured("pair") or any(amount.unit in _FIGURES for amount in told.amounts)
        if not _SILENCE.search(clause) and (figures or _ASSERTS.search(clause)):
            yield clause.strip()


def _citations(numbers: Sequence[int], sources: dict[int, Source]) -> tuple[Citation, ...]:
    return tuple(
        Citation(number, sources[number].resource, sources[number].version, sources[number].url) for number in numbers
    )
