from __future__ import annotations

from appliance.care.transcription import MAX_ATTEMPTS
from appliance.engines.circuit import PAUSE_S
from appliance.store.jobs import FIRST_PAUSE_S

LOADING_S = 60.0


def test_a_dictation_outwaits_an_engine_that_rests_from_its_deaths() -> None:
    pauses = [FIRST_PAUSE_S * 2.0**attempt / 2 for attempt in range(MAX_ATTEMPTS - 1)]  # chance halves each at most
    assert sum(pauses) >= PAUSE_S + LOADING_S
