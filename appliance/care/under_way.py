"""Whether somebody is dictating right now: work that should not be disturbed waits for that to end."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from appliance.plugin_api.storage import Query
from appliance.telemetry.clock import instant

SILENT_AFTER: Final = timedelta(minutes=10)
"""An open recording that nothing arrived for is one that somebody forgot, or whose phone is gone."""


def consults_under_way(q: Query, now: datetime) -> int:
    """How many recordings are open and alive."""
    row = q.one(
        "SELECT count(*) FROM care_dictation WHERE state = 'open' AND changed_at >= ?",  # every chunk changes it
        (instant(now - SILENT_AFTER),),
    )
    return 0 if row is None else int(str(row[0]))
