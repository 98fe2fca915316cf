"""What a person agrees to before a face is enrolled, in versions, and the record of who agreed to what.

A face is sensitive personal data (LGPD, Lei 13.709/2018, arts. 5 II and 11 I: specific and prominent consent; art. 8 §5: it can be
taken back at any time, free of charge and without more ado). The texts are ours, and a lawyer of the hospital must confirm them.
A text that was ever agreed to never changes: another wording is another version.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from appliance.plugin_api.errors import INVALID
from appliance.plugin_api.storage import Query, Transaction
from appliance.security.faces.errors import CONSENT_OUTDATED

CURRENT: Final = "1"
TEXTS: Final[Mapping[str, Mapping[str, str]]] = {
    "1": {
        "pt": (
            "Concordo que este hospital use o meu rosto como segunda confirmação, além da minha senha e deste aparelho. "
            "Das imagens só se guarda uma descrição numérica, cifrada, nos servidores do hospital; nenhuma foto é guardada e nada "
            "sai do hospital. O uso é opcional: a senha vale sempre no lugar do rosto, sem prejuízo algum. "
            "Posso retirar esta concordância a qualquer momento, e então a descrição é destruída."
        ),
        "en": (
            "I agree that this hospital uses my face as a second confirmation, besides my password and this device. "
            "Of the pictures only a numeric description is kept, encrypted, on the hospital's servers; no photo is kept and nothing "
            "leaves the hospital. It is optional: the password always does in place of the face, at no disadvantage. "
            "I may take this agreement back at any time, and then the description is destroyed."
        ),
    }
}


class Consent(msgspec.Struct, frozen=True):
    """One agreement: to which text, in which language, on which device, when; and when it was taken back."""

    text_version: str
    language: str
    device_id: str
    given_at: str
    withdrawn_at: str | None = None


def text(language: str) -> str:
    """The text in force, in ``"pt"`` or ``"en"``."""
    return TEXTS[CURRENT][language]


def check(text_version: str, *, agreed: bool) -> None:
    """That somebody agrees to the text in force.

    Raises:
        ProntuarioError: ``faces.consent_outdated`` 409, ``invalid`` 422 when they do not agree.
    """
    if text_version != CURRENT:
        raise CONSENT_OUTDATED(field="consent.text_version", current=CURRENT)
    if not agreed:
        raise INVALID(field="consent.agreed", name="consent.agreed", reason="without consent nothing is enrolled")


def give(tx: Transaction, user_id: str, *, language: str, device_id: str, now: str) -> None:
    """Note that a person agreed to the text in force; an earlier agreement ends with it."""
    withdraw(tx, user_id, by=user_id, now=now)
    tx.execute(
        "INSERT INTO security_face_consent (user_id, text_version, language, device_id, given_at) VALUES (?, ?, ?, ?, ?)",
        (user_id, CURRENT, language, device_id, now),
    )


def withdraw(tx: Transaction, user_id: str, *, by: str, now: str) -> int:
    """Note that the agreement ended; how many there were in force (0 or 1)."""
    return tx.execute(
        "UPDATE security_face_consent SET withdrawn_at = ?, withdrawn_by = ? WHERE user_id = ? AND withdrawn_at IS NULL",
        (now, by, user_id),
    )


def history(q: Query, user_id: str) -> list[Consent]:
    """Every agreement of a person, newest first."""
    rows = q.all(
        "SELECT text_version, language, device_id, given_at, withdrawn_at FROM security_face_consent WHERE user_id = ?"
        " ORDER BY id DESC",
        (user_id,),
    )
    return [msgspec.convert(dict(zip(Consent.__struct_fields__, row, strict=True)), Consent) for row in rows]
