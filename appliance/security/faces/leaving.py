"""What becomes of a face whose person takes the consent back, or leaves the hospital: the template is destroyed, for good."""

from __future__ import annotations

from appliance.plugin_api.storage import Transaction
from appliance.security.faces import confirmations, consent, templates
from appliance.security.vault import Vault


def forget_face(tx: Transaction, vault: Vault, user_id: str, *, by: str, now: str) -> bool:
    """End the consent and what the face confirmed, destroy template and key; whether there was one.

    ``by`` is who asked for it, a user id; empty where the account ended and nobody asked in particular.
    """
    consent.withdraw(tx, user_id, by=by, now=now)
    confirmations.end_faces(tx, user_id)
    return templates.destroy(tx, vault, user_id)
