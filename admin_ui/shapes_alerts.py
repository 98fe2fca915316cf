"""Alerts as core tells them, as far as the dashboard shows them."""

from __future__ import annotations

import msgspec


class AlertRow(msgspec.Struct, frozen=True, kw_only=True):
    """One alert; moments are FHIR instants. ``ended``: None while it is on."""

    id: str
    node: str
    rule: str
    severity: str
    labels: dict[str, str]
    pt: str
    en: str
    runbook: str
    began: str
    ended: str | None = None
    seen_by: str | None = None
    seen_at: str | None = None
