"""What a synthetic consult has to show before it proves anything."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from appliance.daemon.demo.consult import Consult
from appliance.daemon.exits import CommandFailedError
from appliance.daemon.updates.consult import fault_of, prove_by_consult


def consult(**changed: Any) -> Consult:
    whole: dict[str, Any] = {
        "transcript": {"segments": [{"text": " dor no joelho "}]},
        "note": {"sections": [{"sentences": []}, {"sentences": [{"text": "Dor no joelho."}]}]},
        "verification": {"valid": True},
    }
    return Consult("p", "e", "d", **{**whole, **changed})


def test_a_signed_note_that_verifies_proves_the_program() -> None:
    assert fault_of(consult()) is None


@pytest.mark.parametrize(
    ("changed", "fault"),
    [
        ({"transcript": {"segments": []}}, "nothing was heard"),
        ({"transcript": {"segments": [{"text": "  "}]}}, "nothing was heard"),
        ({"note": {"sections": [{"sentences": []}]}}, "note is empty"),
        ({"verification": {"valid": False}}, "does not verify"),
        ({"verification": {}}, "does not verify"),
    ],
)
def test_anything_less_does_not(changed: dict[str, Any], fault: str) -> None:
    assert fault in str(fault_of(consult(**changed)))


async def test_a_folder_that_is_there_is_never_taken_for_scratch(tmp_path: Path) -> None:
    with pytest.raises(CommandFailedError, match="exists already"):
        await prove_by_consult(tmp_path)
