"""A template: a way of making a sentence, with how often it is used."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tools.demo_models.grammar.draft import Draft
from tools.demo_models.grammar.types import Sentence


@dataclass(frozen=True, slots=True)
class Template:
    """``few``: it has too few realisations for a held-out twentieth; ``repeats``: it may occur twice in a consult."""

    make: Callable[[Draft], Sentence]
    weight: int
    repeats: bool = False
    few: bool = False
