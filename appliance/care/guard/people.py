"""Of whom a thing was said: the patient, or a relative who is named in the same clause."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from appliance.care.guard import lexicon
from appliance.care.guard.likeness import stem
from appliance.care.guard.polarity import Token
from appliance.care.guard.word_lists import words

PATIENT: Final = ""
_OF: Final = words("na no nas nos da do das dos")
_POSSESSIVES: Final = words("minha meu sua seu minhas meus suas seus")
_Owned = tuple[Token, str]


def relatives_in(spoken: frozenset[str]) -> frozenset[str]:
    """The words that name somebody else here. A son is the patient where a parent speaks for him, not beside an "eu"."""
    beside = "eu" in spoken and bool(_POSSESSIVES & spoken)
    return lexicon.RELATIVES | lexicon.OF_THE_FAMILY | (lexicon.CHILDREN if beside else frozenset())


def owners(tokens: Sequence[Token], relatives: frozenset[str]) -> dict[str, set[str]]:
    """For each stem, of whom it was said: relatives by their word, ``PATIENT`` for nobody else.

    A relative owns what follows ("mãe com asma") until the clause turns; at the end of a clause what stands before
    ("asma na mãe").
    """
    out: list[_Owned] = []
    owner, piece = PATIENT, 0
    for place, token in enumerate(tokens):
        text = token.text
        if text in relatives:
            theirs = _their_own(tokens, place, out[piece:])
            out[len(out) - theirs :] = [(earlier, text) for earlier, _owner in out[len(out) - theirs :]]
            owner = PATIENT if theirs else text
        elif text in lexicon.BACK_TO_THE_PATIENT or text == "." or (text == "," and turns(_text(tokens, place + 1))):
            owner = PATIENT
        elif text != ",":
            out.append((token, owner))
            continue
        piece = len(out)
    found: dict[str, set[str]] = {}
    for token, whose in out:
        found.setdefault(stem(token.text), set()).add(whose)
    return found


def turns(word: str) -> bool:
    """After a comma: whether something new is told, and not a list continued."""
    return word in lexicon.ACTION_WORDS or word in lexicon.NEGATORS or (word in lexicon.AFFIRMERS and word != "com")


def _their_own(tokens: Sequence[Token], place: int, piece: Sequence[_Owned]) -> int:
    """How many of the words before this relative are theirs: "diabetes na mãe", not "relato da mãe" nor "mãe com asma"."""
    link = place - 1
    while _text(tokens, link) in _POSSESSIVES:
        link -= 1
    if _text(tokens, link) not in _OF or _text(tokens, place + 1) not in {"", ".", ",", "e", "aos", "ha", "quando"}:
        return 0
    said = [token.text for token, _owner in piece]
    if piece and piece[0][1] != PATIENT and "e" in said:  # what stands before the "e" is another relative's
        said = said[len(said) - said[::-1].index("e") :]
    clinical = any(lexicon.is_clinical(word) for word in said)
    return len(said) if clinical and not set(said) & lexicon.INFORMANTS else 0


def _text(tokens: Sequence[Token], place: int) -> str:
    return tokens[place].text if 0 <= place < len(tokens) else ""
