"""What ``make run`` shows of paper, also where nothing can be read: it says so and goes on."""

from __future__ import annotations

from typing import Any

import pytest

from appliance.daemon.demo.consult import Consult
from appliance.daemon.demo.paper import proposal_line, read_sample, take_paper

PLAIN = {
    "number": 2,
    "doubts": [],
    "proposed": {
        "printed_name": "Ureia", "printed_value": "34", "printed_unit": "mg/dL", "value": "34", "ucum": "mg/dL",
        "loinc": "3091-6", "comparator": "",
    },
}  # fmt: skip
UNSURE = {
    "number": 1,
    "doubts": [{"code": "digits_unsure", "message": "dígitos incertos: leia no papel"}],
    "proposed": {**PLAIN["proposed"], "printed_name": "Sódio", "value": "", "loinc": ""},  # type: ignore[dict-item]
}
READ = {"id": "d1", "state": "read", "size": 91_104, "reader": "tesseract"}
NO_TESSERACT = {
    "id": "d1",
    "state": "failed",
    "problem": {"detail": "Esta máquina não tem leitor de imagens.", "next_step": "Instale tesseract."},
}
OBSERVATION = {"id": "o1", "code": {"text": "Ureia"}, "valueQuantity": {"value": 34, "unit": "mg/dL"}}


class ScriptedPhone:
    """Answers by path; remembers what was sent."""

    def __init__(self, **answers: Any) -> None:
        self.answers = answers
        self.sent: list[tuple[str, Any]] = []

    async def get(self, path: str, **_query: str) -> Any:
        if path == "/v1/models":
            return {"data": self.answers.get("models", [{"capability": "document_reader"}])}
        if path.endswith("/proposals"):
            return {
                "patient_name": None,
                "warnings": self.answers.get("warnings", []),
                "proposals": self.answers["proposals"],
            }
        return OBSERVATION if "Observation" in path else self.answers["state"]

    async def hand_in(self, path: str, content: bytes, **query: str) -> Any:
        assert content == read_sample()
        self.sent.append((path, query))
        return READ

    async def post(self, path: str, body: Any = None) -> Any:
        self.sent.append((path, body))
        return {"observation": "o1"}


async def shown(phone: ScriptedPhone) -> tuple[Any, list[str]]:
    stages: list[str] = []
    told = await take_paper(phone, Consult("p1", "e1"), lambda _stage, said: stages.append(said))  # type: ignore[arg-type]
    return told, stages


async def test_the_first_plain_value_is_confirmed_and_all_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    phone = ScriptedPhone(state=READ, proposals=[UNSURE, PLAIN])
    observation, stages = await shown(phone)
    assert observation == OBSERVATION
    assert phone.sent[0][1] == {"patient": "p1", "encounter": "e1", "title": "Laudo de laboratório (foto)"}
    assert phone.sent[1] == ("/api/documents/d1/proposals/2/confirm", {})
    assert "Ureia 34 mg/dL is Observation/o1" in stages[-1]
    out = capsys.readouterr().out
    assert "dígitos incertos" in out
    assert "LOINC 3091-6" in out


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        ({"models": []}, "no reader for paper"),
        ({"state": NO_TESSERACT}, "Instale tesseract."),
        ({"state": {"id": "d1", "state": "kept"}}, "not read: kept"),
        ({"state": READ, "proposals": [UNSURE]}, "nothing on it is plain enough"),
        (
            {"state": READ, "proposals": [PLAIN], "warnings": [{"message": "outro nome", "printed": "X"}]},
            "nothing on it",
        ),
    ],
)
async def test_where_nothing_can_be_confirmed_it_says_so_and_goes_on(answers: dict[str, Any], said: str) -> None:
    phone = ScriptedPhone(**answers)
    observation, stages = await shown(phone)
    assert observation is None
    assert said in stages[-1]
    assert not any(path.endswith("/confirm") for path, _ in phone.sent)


def test_a_line_tells_what_is_printed_and_what_it_would_mean() -> None:
    assert proposal_line(PLAIN) == f"{'Ureia 34 mg/dL':42} → 34 mg/dL, LOINC 3091-6"
    assert proposal_line(UNSURE).endswith("→ not mapped   ← dígitos incertos: leia no papel")


def test_the_sample_is_a_small_jpeg() -> None:
    assert read_sample()[:3] == b"\xff\xd8\xff"
    assert len(read_sample()) <= 150_000
