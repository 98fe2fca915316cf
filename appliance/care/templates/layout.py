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
from appliance.plugin_api.errors import define

INVALID = define(
    "template.invalid",
    422,
    pt=("O modelo de nota não pode ser usado: {reason}.", "Corrija o texto e envie de novo; nada foi guardado."),
    en=("The note template cannot be used: {reason}.", "Correct the text and send it again; nothing was kept."),
)
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
        ProntuarioError: ``template.invalid`` 422 with the reason.
    """
    if len(text) > MAX_CHARACTERS:
        raise INVALID(field="text", reason=f"more than {MAX_CHARACTERS} characters")
    try:
        file = msgspec.toml.decode(text, type=_File)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise INVALID(field="text", reason=str(error)) from error
    headings = tuple(Heading(one.title.strip(), one.takes, one.kinds, one.loinc) for one in file.heading)
    _check(headings)
    return Layout(name, version, hashlib.sha256(text.encode()).hexdigest(), file.title.strip(), headings)


def _check(headings: Sequence[Heading]) -> None:
    if unknown := sorted({kind for heading in headings for kind in heading.kinds} - set(FACT_KINDS)):
        raise INVALID(field="text", reason=f"unknown kinds {', '.join(unknown)}; known are {', '.join(FACT_KINDS)}")
    whole = {code for heading in headings if not heading.kinds for code in heading.takes}
    if homeless := [code for code in SECTION_CODES if code not in whole]:
        raise INVALID(field="text", reason=f"no heading without kinds takes {', '.join(homeless)}")
    titles = [heading.title for heading in headings]
    if len(set(titles)) < len(titles):
        raise INVALID(field="text", reason="two headings have the same title")


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
