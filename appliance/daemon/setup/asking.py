"""Asking a person, one question after the other; each answer is checked at once, and one can go back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from appliance.daemon.setup.answers import Answers
from appliance.daemon.setup.checks import BadAnswerError
from appliance.daemon.setup.errors import STOPPED
from appliance.daemon.setup.machine import Machine
from appliance.daemon.setup.questions import QUESTIONS, checked, written

BACK: Final = "<"
YES: Final = frozenset({"s", "sim", "y", "yes"})
Say = Callable[[str], None]
Ask = Callable[[str, str], str]
"""(prompt, default) → what was typed, or the default."""


def ask_all(given: Mapping[str, Any], machine: Machine, say: Say, ask: Ask, language: str) -> Answers:
    """Every question that matters, with ``given`` as what is suggested; then the whole for a last look.

    Raises:
        ProntuarioError: ``setup.stopped`` when the person does not agree in the end and does not go back either.
    """
    at = 0 if language == "pt" else 1
    say(
        (
            f"Enter aceita o que está entre colchetes; {BACK} volta.",
            f"Enter takes what is in brackets; {BACK} goes back.",
        )[at]
    )
    draft: dict[str, Any] = dict(given)
    place = 0
    while True:
        while place < len(QUESTIONS):
            place = _ask_one(place, draft, machine, (say, ask), at)
        answers, _wrong = checked({key: draft[key] for key in draft if _asked(key, draft)}, machine)
        for line in summary(answers, language):
            say(line)
        told = ask(
            ("Está certo? s: continuar; <: voltar; n: parar", "Right? y: go on; <: back; n: stop")[at], ""
        ).lower()
        if told in YES:
            return answers
        if told != BACK:
            raise STOPPED()
        place = _before(len(QUESTIONS), draft)


def summary(answers: Answers, language: str) -> list[str]:
    """What was answered, a line each."""
    at, values = 0 if language == "pt" else 1, msgspec.structs.asdict(answers)
    asked = [question for question in QUESTIONS if question.asked(values)]
    return [f"  {question.text[at]}: {written(values[question.key]) or '-'}" for question in asked]


def _ask_one(place: int, draft: dict[str, Any], machine: Machine, person: tuple[Say, Ask], at: int) -> int:
    """The place of the question that comes next."""
    question, (say, ask) = QUESTIONS[place], person
    if not question.asked(draft):
        return place + 1
    kept = written(draft[question.key]) if question.key in draft else ""
    typed = ask(question.text[at], kept or question.suggest(draft, machine)).strip()
    if typed == BACK:
        return _before(place, draft)
    try:
        draft[question.key] = question.check(typed, draft, machine)
    except BadAnswerError as error:
        say(f"  ! {error.text[at]}")
        return place
    return place + 1


def _before(place: int, draft: Mapping[str, Any]) -> int:
    """The nearest question before ``place`` that is asked; the first one when there is none."""
    return next((one for one in range(place - 1, -1, -1) if QUESTIONS[one].asked(draft)), 0)


def _asked(key: str, draft: Mapping[str, Any]) -> bool:
    return key == "profile" or next(question for question in QUESTIONS if question.key == key).asked(draft)
