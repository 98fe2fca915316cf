"""A template as a value: its headings, read from TOML, and the deterministic arrangement of a note under them.

Whatever the template, no sentence is lost: each of S, O, A and P has a heading that takes all of it, or the file is refused.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from typing import Annotated, Final

import msgspec

from appliance.care.guard.numbers import fold
from appliance.care.model import SECTION_CODES, Content, Fact, Heading, Layout, SectionCode, Sentence
from appliance.care.note_schema import FACT_KINDS
from appliance.care.templates.faults import Place, fault, of_shape, of_syntax, whole

MAX_CHARACTERS: Final = 20_000
MAX_HEADINGS: Final = 40
_WORD: Final = re.compile(r"[^\W\d_]{4,}")
_LOINC: Final = "^[0-9]{1,7}-[0-9]$"
_Title = Annotated[str, msgspec.Meta(min_length=1, max_length=80, pattern=r"^[^\x00-\x1f\x7f]+$")]


class _HeadingTable(msgspec.Struct, forbid_unknown_fields=True):
    title: _Title
    takes: Annotated[tuple[SectionCode, ...], msgspec.Meta(min_length=1)]
    kinds: tuple[str, ...] = ()
    loinc: Annotated[str, msgspec.Meta(pattern=_LOINC)] | None = None


class _File(msgspec.Struct, forbid_unknown_fields=True):
    title: _Title
    heading: Annotated[list[_HeadingTable], msgspec.Meta(min_length=1, max_length=MAX_HEADINGS)]


class Arranged(msgspec.Struct, frozen=True):
    """A heading with the sentences that stand under it."""

    title: str
    loinc: str | None
    sentences: tuple[Sentence, ...]


def parse(text: str, name: str, version: int) -> Layout:
    """Read a template's file.

    Raises:
        ProntuarioError: ``template.invalid`` 422 with the reason and, where there is one, the line.
    """
    if len(text) > MAX_CHARACTERS:
        raise whole("text", pt=f"mais de {MAX_CHARACTERS} caracteres", en=f"more than {MAX_CHARACTERS} characters")
    try:
        file = msgspec.toml.decode(text, type=_File)
    except msgspec.ValidationError as error:
        raise of_shape(str(error), text) from error
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise of_syntax(str(error)) from error
    headings = tuple(Heading(one.title.strip(), one.takes, one.kinds, one.loinc) for one in file.heading)
    _check(headings, text)
    return Layout(name, version, hashlib.sha256(text.encode()).hexdigest(), file.title.strip(), headings)


def _check(headings: Sequence[Heading], text: str) -> None:
    """What a schema can't say: known kinds, a home for every sentence, titles that can be told apart."""
    titles: set[str] = set()
    for at, heading in enumerate(headings):
        if unknown := sorted(set(heading.kinds) - set(FACT_KINDS)):
            named, known = ", ".join(unknown), ", ".join(FACT_KINDS)
            pt, en = f"não há fatos do tipo {named}; há {known}", f"unknown kinds {named}; known are {known}"
            raise fault(text, Place(at, "kinds"), pt=pt, en=en)
        if heading.title in titles:
            raise fault(text, Place(at, "title"), pt="dois títulos iguais", en="two headings have the same title")
        titles.add(heading.title)
    taken = {code for heading in headings if not heading.kinds for code in heading.takes}
    if homeless := ", ".join(code for code in SECTION_CODES if code not in taken):
        en = f"no heading without kinds takes {homeless}"
        raise whole("text", pt=f"nenhum título sem “kinds” recebe {homeless}; frases se perderiam", en=en)


def arrange(content: Content) -> tuple[Arranged, ...]:
    """The note's sentences under its template's headings, in the order of the headings; without a template, none."""
    if content.layout is None:
        return ()
    headings = content.layout.headings
    under: list[list[Sentence]] = [[] for _ in headings]
    for section in content.sections:
        for sentence in section.sentences:
            under[_place(section.code, sentence, headings, content.facts)].append(sentence)
    return tuple(
        Arranged(heading.title, heading.loinc, tuple(found)) for heading, found in zip(headings, under, strict=True)
    )


def _place(code: SectionCode, sentence: Sentence, headings: Sequence[Heading], facts: Sequence[Fact]) -> int:
    told = _kinds(sentence, facts)
    takers = [place for place, heading in enumerate(headings) if code in heading.takes]
    chosen = [place for place in takers if told & set(headings[place].kinds)]
    return (chosen or [place for place in takers if not headings[place].kinds])[0]


def _kinds(sentence: Sentence, facts: Sequence[Fact]) -> set[str]:
    """What the sentence tells of: the kinds of its segments' facts, those that it names if it names any."""
    here = [fact for fact in facts if set(fact.segments) & set(sentence.segments)]
    text = fold(sentence.text)
    named = [fact for fact in here if any(word in text for word in _WORD.findall(fold(fact.name)))]
    return {fact.kind for fact in named or here}
