"""What the guard says of a sentence or a fact."""

from __future__ import annotations

import msgspec


class Problem(msgspec.Struct, frozen=True):
    """One thing that the cited segments do not carry.

    ``code``: no_segment, unknown_segment, number, unit, frequency, date, binding, drug, negation, person, laterality,
    action, qualifier, finding, substitution, question or invention. ``words``: the words of the note concerned.
    """

    code: str
    words: str = ""


class Verdict(msgspec.Struct, frozen=True):
    """``supported`` when there is no problem. ``unheard``: harmless words that the segments do not have literally."""

    supported: bool
    problems: tuple[Problem, ...] = ()
    unheard: tuple[str, ...] = ()
