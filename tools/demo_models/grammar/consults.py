"""A whole consult: six to fourteen sentences in SOAP order."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Final

from tools.demo_models.grammar.closing import ASSESSMENT, PLAN, follow_up
from tools.demo_models.grammar.draft import Draft, Renaming
from tools.demo_models.grammar.objective import OBJECTIVE
from tools.demo_models.grammar.subjective import SUBJECTIVE, opening
from tools.demo_models.grammar.template import Template
from tools.demo_models.grammar.types import Consult, Sentence, Split, is_held_out

# One sentence in twenty is held out, so a held-out one takes twenty tries on average.
_TRIES: Final = 4000
_OPENING: Final = Template(opening, 1)
_FOLLOW_UP: Final = Template(follow_up, 1)


def consult(rng: random.Random, split: Split = "train", rename: Renaming | None = None) -> Consult:
    """Make one consult.

    ``train`` never yields a held-out sentence; ``held_out`` yields only such, save from templates with too few
    realisations to set some aside. ``rename`` may give terms other names (see ``Renaming``).
    """
    draft = Draft(rng) if rename is None else Draft(rng, rename)
    made = [_made(draft, _OPENING, split)]
    parts = (SUBJECTIVE, rng.randint(1, 4)), (OBJECTIVE, rng.randint(1, 4)), (ASSESSMENT, rng.choice((1, 1, 2)))
    for templates, count in (*parts, (PLAN, rng.randint(1, 2))):
        made += _some(draft, templates, count, split)
    made.append(_made(draft, _FOLLOW_UP, split))
    return Consult(tuple(made), draft.sex, draft.system)


def _some(draft: Draft, templates: Sequence[Template], count: int, split: Split) -> list[Sentence]:
    left, made = list(templates), []
    for _ in range(min(count, len(left))):
        template = draft.rng.choices(left, [each.weight for each in left])[0]
        made.append(_made(draft, template, split))
        if not template.repeats:
            left.remove(template)
    return made


def _made(draft: Draft, template: Template, split: Split) -> Sentence:
    before = frozenset(draft.used)
    for _ in range(_TRIES):
        draft.used = set(before)
        made = template.make(draft)
        held_out = is_held_out(made.text)
        if (held_out or template.few) if split == "held_out" else not held_out:
            return made
    raise AssertionError(f"no {split} sentence of {template.make.__name__} in {_TRIES} tries")
