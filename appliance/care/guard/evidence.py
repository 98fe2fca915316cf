"""What the cited segments carry, prepared for comparison."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property
from itertools import pairwise
from typing import Final

from appliance.care.guard import lexicon, people
from appliance.care.guard.form import heard_tokens, tokens
from appliance.care.guard.likeness import near, stem
from appliance.care.guard.polarity import Token

_MICROGRAMS: Final = {"mcg": Decimal(1), "mg": Decimal(1000), "g": Decimal(1_000_000)}
SIDES: Final = frozenset({"direito", "esquerdo", "bilateral"})
ACTION_WORDS: Final = lexicon.ACTION_WORDS
_STRUCTURED: Final = re.compile(r"(?:freq|date|pair|per)_.*")


@dataclass(frozen=True, slots=True)
class Amount:
    """A number with the unit behind it (empty: none) and the drug, vital sign or laboratory value that it follows."""

    number: str
    unit: str
    anchor: str

    @property
    def mass(self) -> Decimal | None:
        """Micrograms, when it is a mass."""
        factor = _MICROGRAMS.get(self.unit)
        return None if factor is None else (Decimal(self.number) * factor).normalize()


@dataclass(frozen=True)
class Evidence:
    """One text, taken apart. Built from the cited segments, and in the same way from the sentence to be checked."""

    tokens: Sequence[Token]
    words: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "words", frozenset(token.text for token in self.tokens))

    @classmethod
    def of(cls, text: str) -> Evidence:
        return cls(tokens(text))

    @classmethod
    def heard(cls, text: str) -> Evidence:
        """Of speech: its questions count only as they were answered."""
        return cls(heard_tokens(text))

    def structured(self, kind: str) -> list[str]:
        """The ``freq``, ``date``, ``pair`` or ``per`` tokens in order."""
        return [token.text for token in self.tokens if token.text.startswith(kind + "_")]

    @cached_property
    def content(self) -> list[Token]:
        """The tokens that claim something, without numbers and units."""
        return [token for token in self.tokens if claims(token)]

    @cached_property
    def polarities(self) -> dict[str, set[bool]]:
        """For each stem, whether it was said negated, affirmed, or both."""
        found: dict[str, set[bool]] = {}
        for token in self.content:
            found.setdefault(stem(token.text), set()).add(token.negated)
        return found

    def owners(self, relatives: frozenset[str]) -> dict[str, set[str]]:
        """For each stem, of whom it was said; see ``people``."""
        return people.owners(self.tokens, relatives)

    @cached_property
    def joined(self) -> dict[str, str]:
        """Neighbouring words written as one, with the stem of the first: recognisers split words ("cefa leia")."""
        content = [token.text for token in self.content]
        return {a + b: stem(a) for a, b in pairwise(content) if a.isalpha() and b.isalpha()}

    def support(self, word: str) -> str | None:
        """The stem in this text that stands for ``word``, exactly or as a misspelling; None when there is none."""
        root = stem(word)
        if root in self.polarities:
            return root
        if is_drug(word) or word.startswith(("via_", "ex_")):
            return None
        for token in self.content:
            heard = token.text
            if heard not in lexicon.OPPOSITES and not is_drug(heard) and near(word, heard):
                return stem(heard)
        return next((root for whole, root in self.joined.items() if near(word, whole)), None)

    @cached_property
    def amounts(self) -> list[Amount]:
        """Every number, those inside pairs too."""
        return list(self._amounts())

    def _amounts(self) -> Iterator[Amount]:
        anchor = ""
        for place, token in enumerate(self.tokens):
            text = token.text
            if is_anchor(text) or self._before_dose(place):
                anchor = text
            elif token.is_number:
                anchor = self._drug_behind(place) or anchor
                yield Amount(text, self._unit(place), anchor)
            elif text.startswith("pair_"):
                _, first, second = text.split("_")
                for number in (first, second):
                    yield Amount(number, self._unit(place), anchor)

    def _drug_behind(self, place: int) -> str:
        """The drug of "25 mg de captopril"; empty when none follows like this."""
        place += 2 if self._unit(place) else 1
        link, drug = (self.tokens[at].text if at < len(self.tokens) else "" for at in (place, place + 1))
        return drug if link in {"de", "do", "da"} and is_drug(drug) else ""

    def _unit(self, place: int) -> str:
        follows = self.tokens[place + 1].text if place + 1 < len(self.tokens) else ""
        return follows if follows in lexicon.UNITS else ""

    @cached_property
    def drugs(self) -> set[str]:
        """Known drugs, words that look like one, and any word that stands before a dose."""
        known = {token.text for token in self.tokens if is_drug(token.text)}
        return known | {self.tokens[place].text for place in range(len(self.tokens)) if self._before_dose(place)}

    def _before_dose(self, place: int) -> bool:
        """Whether this word is the last real one before a number with a dose unit."""
        word = self.tokens[place]
        if not claims(word) or word.text in ACTION_WORDS or word.text in lexicon.OPPOSITES or word.text in lexicon.LABS:
            return False
        for follows in range(place + 1, min(place + 4, len(self.tokens))):
            token = self.tokens[follows]
            if token.is_number:
                return self._unit(follows) in lexicon.DOSE_UNITS
            if claims(token) or token.is_mark:
                return False
        return False

    @cached_property
    def actions(self) -> set[str]:
        return set(self.words & ACTION_WORDS)

    @cached_property
    def sides(self) -> list[tuple[str, str]]:
        """(what, side): the claim in front of each side."""
        found, before = [], ""
        for token in self.tokens:
            if token.text in SIDES:
                found.append((stem(before), token.text))
            elif claims(token):
                before = token.text
        return found


def claims(token: Token) -> bool:
    """Whether a token says something by itself: no number, unit, mark, side or little word."""
    text = token.text
    if token.is_number or token.is_mark or text in lexicon.SILENT or text in lexicon.UNITS:
        return False
    return not _STRUCTURED.fullmatch(text) and text not in SIDES and (len(text) > 1 or text.isalpha())


def is_drug(word: str) -> bool:
    """A drug of the lexicon, or a word with a drug's ending."""
    return word in lexicon.DRUGS or lexicon.DRUG_ENDING.fullmatch(word) is not None


def is_anchor(word: str) -> bool:
    """A word that the numbers after it belong to."""
    return word.startswith("vital_") or word in lexicon.LABS or is_drug(word)
