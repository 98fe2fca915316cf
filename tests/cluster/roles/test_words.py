"""Whatever the pair can tell or ask has words in both languages, on the timeline, at the terminal and in the dashboard."""

from __future__ import annotations

import ast
import inspect
import string
import textwrap
from collections.abc import Iterator
from types import ModuleType

import pytest

from admin_ui.pages.cluster import EVENT_TONES
from admin_ui.words import WORDS
from appliance.cluster import decide, decisions, operator, roles
from appliance.cluster.events import PROMPTS, SENTENCES, in_words
from appliance.daemon.pair import drill

NAMES = {"refusal": decide.why_not, "prompt": decide._lead}  # where a told variable gets its value
SPEAKERS: tuple[ModuleType, ...] = (decide, roles, operator)
PROMPTERS = {"not_drained", "sick_alone", "voters_silent"}
"""Prompts that do not come from ``why_not``."""


def constants(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def codes_in(function: object) -> set[str]:
    """Every string in a function that looks like a code; its docstring does not."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))  # type: ignore[arg-type]
    return {text for text in constants(tree) if text and " " not in text}


def told_by(module: ModuleType) -> set[str]:
    """Each kind that ``module`` may put into ``Tell(…)``."""
    kinds: set[str] = set()
    for node in ast.walk(ast.parse(inspect.getsource(module))):
        if not (
            isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == decisions.Tell.__name__
        ):
            continue
        kind = node.args[0]
        if isinstance(kind, ast.Name) and kind.id in NAMES:
            kinds |= codes_in(NAMES[kind.id]) & set(SENTENCES)
        elif isinstance(kind, ast.Name):
            kinds.add(getattr(module, kind.id))
        else:
            assert isinstance(kind, ast.Constant | ast.IfExp), ast.unparse(node)
            kinds |= set(constants(kind))
    return kinds


def everything_told() -> set[str]:
    return set().union(*(told_by(module) for module in SPEAKERS))


def test_the_walk_finds_what_is_told_by_name_by_choice_and_by_variable() -> None:
    assert {"promoted", "stopping", "sick_alone", "not_drained", "no_third_voter", "counted_lost"} <= everything_told()


def test_everything_that_is_told_has_words_and_no_words_are_left_over() -> None:
    assert everything_told() | {"voters_silent"} == set(SENTENCES)


def test_whatever_keeps_a_node_from_leading_is_a_question_to_the_operator() -> None:
    codes = codes_in(decide.why_not)
    assert len(codes) > 3
    assert codes | PROMPTERS == set(PROMPTS)


@pytest.mark.parametrize("kind", sorted(SENTENCES))
def test_a_kind_is_a_sentence_in_both_languages_with_the_same_words_put_in(kind: str) -> None:
    pt, en = in_words(kind, "mac-a", "mac-b", 7)
    assert pt != en
    assert pt.endswith(".")
    assert en.endswith(".")
    for template in SENTENCES[kind]:
        assert {name for _, name, _, _ in string.Formatter().parse(template) if name} <= {"node", "other", "epoch"}


@pytest.mark.parametrize("code", sorted(PROMPTS))
def test_a_question_has_a_sentence_and_advice_in_the_dashboard(code: str) -> None:
    assert code in SENTENCES
    pt, en = WORDS[f"cluster.ask.{code}"]
    assert pt.strip()
    assert pt != en


def test_the_dashboard_colours_only_what_can_happen() -> None:
    drills = {*drill.KINDS, *codes_in(drill.Drills._run), *codes_in(drill.Drills._nobody_dictates)}
    assert set(EVENT_TONES) <= set(SENTENCES) | drills
