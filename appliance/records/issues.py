"""Findings about a resource: where (FHIRPath), what kind (FHIR IssueType), and a sentence without the data."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec

from appliance.plugin_api.errors import ProntuarioError
from appliance.records.errors import FHIR_INVALID

MAX_ISSUES: Final = 50


Sentence = tuple[str, str]
"""The same in Portuguese and in English."""


class Issue(msgspec.Struct, frozen=True):
    """One fault. ``code`` is of http://hl7.org/fhir/ValueSet/issue-type."""

    expression: str
    code: str
    text: Sentence


def path_of(resource_type: str, location: Sequence[str | int]) -> str:
    """The FHIRPath of a JSON location: ``Patient.name[0].family``. Foreign property names are not echoed beyond 64 letters."""
    steps = (f"[{step}]" if isinstance(step, int) else f".{step[:64]}" for step in location)
    return resource_type + "".join(steps)


def invalid(issues: Iterable[Issue]) -> ProntuarioError:
    """The exception that lists ``issues`` (at most 50 of them)."""
    listed: list[dict[str, Any]] = [
        {"expression": issue.expression, "code": issue.code, "text": issue.text[1], "text_pt": issue.text[0]}
        for issue in issues
    ]
    first = listed[0]["expression"] if listed else None
    return FHIR_INVALID(field=first, count=len(listed), issues=listed[:MAX_ISSUES])


def single(expression: str, code: str, text: Sentence) -> ProntuarioError:
    """The exception for one fault."""
    return invalid([Issue(expression, code, text)])
