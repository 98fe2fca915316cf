"""What is affirmed and what is denied: the scope of negations, and what an answer makes of its question."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from appliance.care.guard import lexicon
from appliance.care.guard.word_lists import words

_ENDS: Final = ".;:!?"
_POSSESSING: Final = words("tem tenho teve tive sente sinto senti sentiu refere houve apresentou confirmado")
"""What stands between a negation and the end of its clause where the thing denied came first: "febre não teve"."""
_INTRODUCE: Final = lexicon.NEGATORS | {"alergia"}
_BREAKS: Final = words(", mas porem nem")
_YES: Final = words("""
    sim tenho tive teve tem sinto senti sente em_uso tomo tabagismo etilismo faco ja isso sou estou claro aham uhum ta
    positivo cirurgia so somente apenas desde ha muito bastante sempre desmaio vomito exato verdade com confirmado
    """)
_NO: Final = words("nao nunca nenhum nenhuma nada nego nega jamais negativo nem")
_ONLY: Final = words("so somente apenas")
_UNSURE: Final = (
    ("nao", "sei"), ("nao", "lembro"), ("nao", "me", "lembro"), ("nao", "tenho", "certeza"), ("nao", "faco", "ideia"),
    ("talvez",), ("depende",), ("acho", "que", "sim"), ("sei", "la"), ("quem", "sabe"),
)  # fmt: skip
_ASKS_WHAT: Final = words("onde quando quanto quanta quantos quantas qual quais como que quem")
_PAST: Final = re.compile(r"\w{2,}(?:ei|ou|iu)|fiz|fez|veio")
_BETWEEN: Final = words("mais me se eu ele ela ja ainda a o")
_OPENING: Final = 4
"""An answer says yes or no within its first words."""


@dataclass(frozen=True, slots=True)
class Token:
    """A word, number or mark of the canonical form. ``negated``: it stands in the scope of a negation."""

    text: str
    negated: bool

    @property
    def is_number(self) -> bool:
        return self.text[0].isdigit()

    @property
    def is_mark(self) -> bool:
        return self.text in ".;:!?,"


@dataclass(frozen=True, slots=True)
class Clause:
    """The words between two marks, and the mark that ends them."""

    words: tuple[str, ...]
    mark: str


def told(tokens: Sequence[str]) -> Iterator[Token]:
    """Every clause as a statement; each ends with a full stop."""
    for clause in clauses(tokens):
        yield from scoped(clause.words)
        yield Token(".", negated=False)


def with_answers(tokens: Sequence[str]) -> Iterator[Token]:
    """Statements as they are; questions as they were answered. What nobody answered, or only vaguely, says nothing."""
    parts = list(clauses(tokens))
    for place, clause in enumerate(parts):
        if clause.mark != "?":
            yield from scoped(clause.words)
        else:
            answer = next((part for part in parts[place + 1 :] if part.mark != "?" and part.words), None)
            last = answer is not None and parts[place + 1].mark != "?"
            said = list(_asked(clause.words, answer.words if answer is not None else (), last=last))
            yield from said
            if said and not all(token.negated for token in said):
                yield Token(",", negated=False)  # what the answer adds is of what was asked
                continue
        yield Token(".", negated=False)


def clauses(tokens: Sequence[str]) -> Iterator[Clause]:
    """Cut at the marks that end a clause; a colon behind a negation or an allergy ("nega: febre") ends none."""
    words_of: list[str] = []
    for word in [*tokens, "."]:
        if word in _ENDS and not (word == ":" and words_of and words_of[-1] in _INTRODUCE):
            yield Clause(tuple(words_of), word)
            words_of = []
        else:
            words_of.append(word)


def _asked(question: Sequence[str], answer: Sequence[str], *, last: bool) -> Iterator[Token]:
    """``last``: no other question stands between this one and the answer."""
    spoken = [word for word in answer if word != ","]
    opening = spoken[:_OPENING]
    if not spoken or any(tuple(spoken[: len(unsure)]) == unsure for unsure in _UNSURE):
        return
    asked = [word for word in question if word in lexicon.SILENT or word not in answer]  # the answer says it itself
    yes, no = (next((at for at, word in enumerate(opening) if word in said), _OPENING) for said in (_YES, _NO))
    if no < yes:
        yield from (Token(word, negated=True) for word in asked)
        return
    vague = lexicon.NEGATORS & set(question) or (_ONLY & set(opening) and len(spoken) > 1)
    says_yes = yes < _OPENING or opening[0][0].isdigit() or _asks_what(question) or _repeats(question, opening)
    if last and says_yes and not vague:
        sides = "ou" in question and lexicon.SIDE_WORDS & set(answer)
        yield from scoped([word for word in asked if not (sides and word in lexicon.SIDE_WORDS)])


def _asks_what(question: Sequence[str]) -> bool:
    return bool(question) and bool(_ASKS_WHAT & set(question[:2]))


def _repeats(question: Sequence[str], opening: Sequence[str]) -> bool:
    return any(word in question and word not in lexicon.SILENT and len(word) > 1 for word in opening)


def scoped(clause: Sequence[str]) -> list[Token]:
    """A negation holds until the clause ends or something is affirmed; commas of a list do not end it.

    It also holds backwards: over what stands before "ausente" and "descartado", and before a "não teve" or "nega" that
    nothing follows.
    """
    flags = [False] * len(clause)
    negated = by_absence = False
    start = piece = 0
    for place, word in enumerate(clause):
        before, after = _before(clause, place), _at(clause, place + 1)
        piece = place + 1 if word == "," else piece
        if word in lexicon.ABSENT or (word in lexicon.PRESENT and before in lexicon.NEGATORS):
            first = start if word.endswith("s") else max(start, piece)
            flags[first:place] = [True] * (place - first)
            negated, by_absence, start = True, True, place + 1
        elif word in lexicon.PRESENT:
            if by_absence:
                flags[max(start, piece) : place] = [False] * (place - max(start, piece))
                negated = False
            start = place + 1
        elif word in lexicon.NEGATORS:
            if not (word == "nao" and after == ","):  # "não, …" is a whole answer
                if _ends_here(clause, place):
                    flags[max(start, piece) : place] = [True] * (place - max(start, piece))
                negated, by_absence, start = True, False, place + 1
        elif before not in lexicon.NEGATORS | lexicon.ABSENT and _affirms(clause, place):
            negated, start = False, place + 1  # but "não tive febre" affirms nothing
        flags[place] = negated
    return [Token(word, flag) for word, flag in zip(clause, flags, strict=True)]


def _affirms(clause: Sequence[str], place: int) -> bool:
    """A word that tells of something, or a verb of the past behind a comma: "nega febre, caiu da escada"."""
    word = clause[place]
    tells = word in lexicon.AFFIRMERS or word.startswith("vital_")
    return tells or (_at(clause, place - 1) == "," and _PAST.fullmatch(word) is not None)


def _before(clause: Sequence[str], place: int) -> str:
    """The word in front, little words left out: "nunca mais tive" denies as "nunca tive" does."""
    place -= 1
    while _at(clause, place) in _BETWEEN:
        place -= 1
    return _at(clause, place)


def _ends_here(clause: Sequence[str], place: int) -> bool:
    """Whether nothing is left to deny behind this negation."""
    place += 1
    while _at(clause, place) in _POSSESSING:
        place += 1
    return place >= len(clause) or clause[place] in _BREAKS


def _at(clause: Sequence[str], place: int) -> str:
    return clause[place] if 0 <= place < len(clause) else ""
