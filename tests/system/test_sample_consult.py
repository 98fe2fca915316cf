"""The main job on real input: the spoken consult, through the public API of a whole node, to a signed note."""

import asyncio
import json
import re
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from appliance.daemon.demo.consult import Consult, take_consult
from appliance.daemon.demo.phone import FHIR, Phone, RefusedError
from tests.conftest import RunningNode
from tests.system.wer import word_error_rate, words

SAMPLE = files("appliance.daemon") / "sample"
SOURCE = " ".join(line.split("|")[0].strip() for line in (SAMPLE / "consult.txt").read_text().splitlines())
pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="session")
def stages() -> list[str]:
    return []


@pytest.fixture(scope="session")
def consult(running_node: RunningNode, stages: list[str]) -> Consult:
    async def take() -> Consult:
        phone = Phone(running_node.client_json("physician", "dra.consulta"))
        try:
            return await take_consult(
                phone, (SAMPLE / "consult.flac").read_bytes(), lambda stage, _: stages.append(stage)
            )
        finally:
            await phone.close()

    return asyncio.run(take())


def sentences(consult: Consult, code: str) -> str:
    section = next(one for one in consult.note["sections"] if one["code"] == code)
    return " ".join(sentence["text"] for sentence in section["sentences"])


def test_the_transcript_is_what_was_said(running_node: RunningNode, consult: Consult) -> None:
    assert word_error_rate(SOURCE, consult.text) <= 0.10
    for said in ("metformina 850 mg", "azitromicina 500 mg", "38,5", "130 por 80", "93%", "dipirona"):
        assert said in consult.text


def test_every_segment_has_its_time_and_they_are_in_order(running_node: RunningNode, consult: Consult) -> None:
    segments = consult.transcript["segments"]
    assert [segment["number"] for segment in segments] == list(range(1, len(segments) + 1))
    times = [time for segment in segments for time in (segment["start"], segment["end"])]
    assert times == sorted(times)
    assert times[-1] <= consult.transcript["audio_s"]


def test_the_note_has_the_drugs_doses_and_vitals(running_node: RunningNode, consult: Consult) -> None:
    assert re.search(r"metformina 850 mg", sentences(consult, "S"))
    assert re.search(r"[Aa]lergia a dipirona", sentences(consult, "S"))
    objective = sentences(consult, "O")
    assert re.search(r"38,5", objective)
    assert re.search(r"130/80", objective)
    assert re.search(r"93\s?%", objective)
    assert "pneumonia" in sentences(consult, "A")
    assert re.search(r"azitromicina 500 mg", sentences(consult, "P"))


def test_every_sentence_names_segments_that_exist(running_node: RunningNode, consult: Consult) -> None:
    numbers = {segment["number"] for segment in consult.transcript["segments"]}
    cited = [sentence["segments"] for section in consult.note["sections"] for sentence in section["sentences"]]
    assert len(cited) >= 10
    assert all(segments and set(segments) <= numbers for segments in cited)


def test_ai_is_labelled_and_the_demonstration_says_so(running_node: RunningNode, consult: Consult) -> None:
    for product in (consult.transcript, consult.note):
        assert product["ai"]["demonstration_model"] is True
        assert re.fullmatch(r"[0-9a-f]{64}", product["ai"]["sha256"])
    assert consult.note["ai"]["prompt_version"]
    assert consult.note["ai"]["guard_version"]


def test_the_signature_holds_and_the_record_has_the_document(running_node: RunningNode, consult: Consult) -> None:
    assert consult.verification["valid"] is True
    with running_node.http("physician") as http:
        composition = http.get(f"{FHIR}/Composition/{consult.note['composition']}").json()
        assert composition["status"] == "final"
        assert composition["subject"]["reference"] == f"Patient/{consult.patient}"
        observations = http.get(f"{FHIR}/Observation", params={"patient": consult.patient}).json()["entry"]
        units = {json.dumps(entry["resource"].get("valueQuantity", {})) for entry in observations}
        assert any('"Cel"' in unit and "38.5" in unit for unit in units)
        everything = http.get(f"/api/notes/{consult.note['id']}/export").json()
        kinds = {entry["resource"]["resourceType"] for entry in everything["entry"]}
        assert {"Composition", "Patient", "Encounter", "Provenance"} <= kinds


def test_a_signed_note_can_only_be_amended(running_node: RunningNode, consult: Consult) -> None:
    async def attempt() -> tuple[int, dict[str, Any]]:
        phone = Phone(running_node.client_json("physician", "dra.consulta"))
        try:
            with pytest.raises(RefusedError) as caught:
                await phone.post(f"/api/notes/{consult.note['id']}/sign", {})
            return caught.value.status, dict(caught.value.problem)
        finally:
            await phone.close()

    status, problem = asyncio.run(attempt())
    assert status == 409
    assert problem["next_step"]


def test_no_patient_data_in_any_log(running_node: RunningNode, consult: Consult) -> None:
    logs = [*running_node.home.glob("logs/*"), running_node.home.parent / "home.stderr"]
    text = "\n".join(path.read_text(errors="replace") for path in logs if path.is_file())
    assert "core serves" in text
    said = set(words(consult.text)) - set(words("de em por com que o a se e ao mg anos dias vez ar uso"))
    secrets = {"Amostra", "Maria", "azitromicina", "metformina", "pneumonia", "dipirona", "tosse produtiva"}
    assert {word for word in said if len(word) > 6} >= {"azitromicina", "metformina"}
    assert not [secret for secret in secrets if secret in text]


def test_progress_was_told(running_node: RunningNode, consult: Consult, stages: list[str]) -> None:
    assert [stage for stage in dict.fromkeys(stages) if stage != "progress"] == [
        "patient",
        "chunk",
        "complete",
        "transcript",
        "draft",
        "signed",
    ]
    assert stages.count("progress") >= 3


def test_the_audio_comes_back_bit_for_bit(running_node: RunningNode, consult: Consult, tmp_path: Path) -> None:
    with running_node.http("physician") as http:
        assert http.get(f"/api/dictations/{consult.dictation}/audio").content == (SAMPLE / "consult.flac").read_bytes()
