"""From transcript to draft: ask the model, hold its answer to the guard, and never lose the transcript.

Pure of storage: ``write_draft`` takes segments and a model and gives the content of a note. Whatever the model does,
there is a result: what it fails to draft stands verbatim in the note.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import aclosing
from itertools import count
from typing import Final, TypeVar

import msgspec

from appliance.care import guard
from appliance.care.model import SECTION_CODES, Ai, Content, Fact, Section, SectionCode, Segment, Sentence
from appliance.care.note_schema import (
    PROMPT_VERSION,
    Draft,
    DraftFact,
    DraftSection,
    DraftSentence,
    answer_schema,
    messages,
)
from appliance.plugin_api.capabilities import ChatModel, ChatOptions
from appliance.plugin_api.engine import CallOptions
from appliance.plugin_api.errors import ProntuarioError, define
from appliance.plugin_host.choice import Choice
from appliance.telemetry.logs import get_logger

log = get_logger("drafting")
CUT = define(
    "draft.cut",
    422,
    pt=("O rascunho foi cortado no limite de tamanho.", "A transcrição foi mantida na nota."),
    en=("The draft was cut at its size limit.", "The transcript was kept in the note."),
)
MALFORMED = define(
    "draft.malformed",
    422,
    pt=("O modelo não devolveu uma nota válida.", "A transcrição foi mantida na nota."),
    en=("The model did not return a valid note.", "The transcript was kept in the note."),
)
Cited = TypeVar("Cited", DraftSentence, DraftFact)
ATTEMPTS: Final = 2
WIDEST: Final = 60
"""Segments that one question covers at most; longer consults are drafted in parts."""
_TOKENS_BASE: Final = 320
_TOKENS_PER_SEGMENT: Final = 64
_SPLITS: Final = frozenset({"chat.context_too_long", CUT.code})
"""Failures that a smaller question may not have."""


class _Part(msgspec.Struct, frozen=True):
    """What came of some of the segments: a draft, or the reason why they stand verbatim."""

    segments: tuple[Segment, ...]
    draft: Draft | None
    reason: str | None = None


async def write_draft(
    segments: Sequence[Segment], transcript_sha256: str, choice: Choice[ChatModel], call: CallOptions
) -> Content:
    """The note's first content.

    Raises:
        ProntuarioError: the engine is busy, died or timed out (429, 503, 504): worth another try later.
    """
    parts: list[_Part] = []
    for start in range(0, len(segments), WIDEST):
        parts += await _draft_part(tuple(segments[start : start + WIDEST]), choice.instance, call)
    model = choice.instance.model()
    reasons = [part.reason for part in parts if part.reason is not None]
    ai = Ai(
        model=model.id,
        sha256=model.sha256,
        demonstration_model=model.demonstration,
        degraded=choice.degraded,
        prompt_version=PROMPT_VERSION,
        guard_version=guard.VERSION,
        fallback=bool(reasons),
        fallback_reason=reasons[0] if reasons else None,
    )
    # In a thread: the guard reads hundreds of sentences of a long consult, and nothing else must wait for that.
    return await asyncio.to_thread(_assemble, parts, ai, transcript_sha256)


def verbatim(segments: Sequence[Segment], transcript_sha256: str, reason: str) -> Content:
    """The note when no model may or can write: the speech itself, for the clinician to shape."""
    ai = Ai(
        "",
        "",
        demonstration_model=False,
        degraded=True,
        guard_version=guard.VERSION,
        fallback=True,
        fallback_reason=reason,
    )
    return _assemble([_Part(tuple(segments), None, reason)], ai, transcript_sha256)


async def _draft_part(segments: tuple[Segment, ...], model: ChatModel, call: CallOptions) -> list[_Part]:
    """Draft these segments; halve them when they are too much at once; give up on what still fails."""
    failure: ProntuarioError | None = None
    for _attempt in range(ATTEMPTS):
        try:
            return [_Part(segments, await _ask(segments, model, call))]
        except ProntuarioError as error:
            if error.kind.status in (429, 503, 504):
                raise
            failure = error
            log.warning("a draft failed", code=error.kind.code, segments=len(segments))
            if error.kind.code in _SPLITS:
                break
    code = failure.kind.code if failure is not None else MALFORMED.code
    if code in _SPLITS and len(segments) > 1:
        middle = len(segments) // 2
        first = await _draft_part(segments[:middle], model, call)
        return first + await _draft_part(segments[middle:], model, call)
    return [_Part(segments, None, code)]


async def _ask(segments: tuple[Segment, ...], model: ChatModel, call: CallOptions) -> Draft:
    numbers = [segment.number for segment in segments]
    options = ChatOptions(
        max_tokens=_TOKENS_BASE + _TOKENS_PER_SEGMENT * len(segments),
        json_schema=answer_schema(numbers),
        public_system=True,  # the instructions are the product's own: their cache serves everybody
    )
    text, reason = "", None
    async with aclosing(model.chat(messages(segments), options, call)) as answer:  # type: ignore[type-var]
        async for delta in answer:
            text += delta.text
            reason = delta.finish_reason or reason
    if reason == "length":
        raise CUT()
    return parse(text, numbers)


def parse(text: str, numbers: Sequence[int]) -> Draft:
    """The model's answer as a value.

    Raises:
        ProntuarioError: ``draft.malformed`` 422: not of the schema, or citing segments that are not there.
    """
    try:
        draft = msgspec.json.decode(text, type=Draft)
    except (msgspec.DecodeError, UnicodeError) as error:
        raise MALFORMED() from error
    known = set(numbers)
    cited = [number for section in draft.sections for sentence in section.sentences for number in sentence.segments]
    cited += [number for fact in draft.facts for number in fact.segments]
    if not draft.sections or not set(cited) <= known:
        raise MALFORMED()
    return _once(draft)


def _once(draft: Draft) -> Draft:
    """Without what the model said twice: small models repeat a fact or a sentence word by word, segments and all."""
    sections = tuple(
        DraftSection(section.code, tuple(dict.fromkeys(map(_cited_once, section.sentences))))
        for section in draft.sections
    )
    return Draft(sections, tuple(dict.fromkeys(map(_cited_once, draft.facts))))


def _cited_once(said: Cited) -> Cited:
    return msgspec.structs.replace(said, segments=tuple(sorted(set(said.segments))))


def _assemble(parts: Sequence[_Part], ai: Ai, transcript_sha256: str) -> Content:
    identifiers = (f"s{number}" for number in count(1))
    sentences: dict[SectionCode, list[Sentence]] = {code: [] for code in SECTION_CODES}
    facts: list[Fact] = []
    for part in parts:
        texts = {segment.number: segment.text for segment in part.segments}
        if part.draft is None:
            for segment in part.segments:
                sentences["S"].append(Sentence(next(identifiers), segment.text, (segment.number,), "transcript"))
            continue
        for section in part.draft.sections:
            for sentence in section.sentences:
                verdict = guard.check_sentence(sentence.text, sentence.segments, texts)
                drafted = Sentence(next(identifiers), sentence.text, sentence.segments, "ai", verdict)
                sentences[section.code].append(drafted)
        facts += [_fact(fact, texts) for fact in part.draft.facts]
    sections = tuple(Section(code, tuple(sentences[code])) for code in SECTION_CODES)
    return Content(sections, tuple(facts), ai, transcript_sha256)


def _fact(fact: DraftFact, texts: dict[int, str]) -> Fact:
    verdict = guard.check_fact(
        fact.name,
        fact.value,
        negated=fact.negated,
        laterality=fact.laterality,
        segments=fact.segments,
        transcript=texts,
        kind=fact.kind,
    )
    return Fact(fact.kind, fact.name, fact.value, fact.negated, fact.laterality, fact.segments, verdict)


def uncited(content: Content, segments: Sequence[Segment]) -> list[int]:
    """Segments that no sentence of the note cites: what was said and might be forgotten."""
    cited = {number for sentence in content.sentences() for number in sentence.segments}
    return [segment.number for segment in segments if segment.number not in cited]
