"""Where AI is switched off: per function, for the hospital, for a person, for a patient. The record works on without it.

Sources: CFM 2.454/2026: the physician decides about the use of AI and may do without; so may the patient.
"""

from __future__ import annotations

from typing import Final, Literal, get_args

import msgspec

from appliance.plugin_api.errors import define
from appliance.plugin_api.storage import Query, Transaction

Function = Literal["transcription", "draft", "chat", "reading", "images"]
Scope = Literal["hospital", "person", "patient"]
FUNCTIONS: Final[tuple[Function, ...]] = get_args(Function)
OFF = define(
    "ai.switched_off",
    403,
    pt=("Esta função de IA está desligada ({scope}).", "Escreva sem ela; o prontuário funciona como sempre."),
    en=("This AI function is switched off ({scope}).", "Write without it; the record works as ever."),
)


class Switch(msgspec.Struct, frozen=True):
    """One switch. ``off_by`` names the scopes that switch it off; nobody named: it is on."""

    function: Function
    on: bool
    off_by: tuple[Scope, ...]


def state(q: Query, *, user_id: str, patient_id: str = "") -> list[Switch]:
    """Every function as it stands for this person, and for this patient if one is named."""
    off = q.all(
        "SELECT function, scope FROM care_ai_switch WHERE (scope = 'hospital' AND subject = '')"
        " OR (scope = 'person' AND subject = ?) OR (scope = 'patient' AND subject = ?)",
        (user_id, patient_id),
    )
    found: list[Switch] = []
    for function in FUNCTIONS:
        scopes = tuple(scope for scope in get_args(Scope) if any(tuple(row) == (function, scope) for row in off))
        found.append(Switch(function, not scopes, scopes))
    return found


def require(q: Query, function: Function, *, user_id: str, patient_id: str = "") -> None:
    """Raises ``ai.switched_off`` 403 unless the function is on for this person and patient."""
    for switch in state(q, user_id=user_id, patient_id=patient_id):
        if switch.function == function and not switch.on:
            raise OFF(scope=", ".join(switch.off_by))


def turn(tx: Transaction, scope: Scope, subject: str, function: Function, *, on: bool, who: str, now: str) -> None:
    """Switch one function on or off in one scope; ``subject`` is empty for the hospital, else a user's or a patient's id."""
    if on:
        tx.execute(
            "DELETE FROM care_ai_switch WHERE scope = ? AND subject = ? AND function = ?", (scope, subject, function)
        )
    else:
        tx.execute(
            "INSERT INTO care_ai_switch (scope, subject, function, changed_by, changed_at) VALUES (?, ?, ?, ?, ?)"
            " ON CONFLICT (scope, subject, function) DO UPDATE SET changed_by = excluded.changed_by,"
            " changed_at = excluded.changed_at",
            (scope, subject, function, who, now),
        )
