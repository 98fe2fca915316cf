"""The main job on real input: both spoken consults, through the public API of a whole node, to signed notes.

The models are demonstrations and the consults lie inside their competence: the words and facts prove the path.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import soundfile

from appliance.daemon.demo.aloud import hear
from appliance.daemon.demo.consult import Consult, take_consult
from appliance.daemon.demo.phone import FHIR, RefusedError
from tests.conftest import RunningNode
from tests.system import spoken
from tests.system.wer import word_error_rate, words

pytestmark = pytest.mark.timeout(600)
USER = "dra.consulta"


@dataclass
class Taken:
    """A sample consult that was taken; ``stages`` are what the phone showed meanwhile."""

    name: str
    consult: Consult
    stages: list[str] = field(default_factory=list)


@pytest.fixture(scope="session", params=spoken.NAMES)
def taken(request: pytest.FixtureRequest, running_node: RunningNode) -> Taken:
    stages: list[str] = []
    audio = spoken.recording(request.param)
    consult = spoken.by_phone(
        running_node, USER, lambda phone: take_consult(phone, audio, lambda stage, _: stages.append(stage))
    )
    return Taken(request.param, consult, stages)


def test_the_transcript_is_what_was_said(running_node: RunningNode, taken: Taken) -> None:
    gold = spoken.gold(taken.name)
    assert word_error_rate(gold.text, taken.consult.text) <= spoken.WORST_WER
    facts = gold.note.facts
    spoken_figures = {figure for fact in facts for figure in re.findall(r"\d+,\d+|\d{2,}", fact.value or "")}
    drugs = {fact.name for fact in facts if fact.kind == "medication"}
    assert drugs
    assert not [said for said in drugs | (spoken_figures - {"12", "24"}) if said not in taken.consult.text]


def test_every_segment_is_one_sentence_at_its_time(running_node: RunningNode, taken: Taken) -> None:
    segments, lines = taken.consult.transcript["segments"], spoken.gold(taken.name).transcript
    assert [segment["number"] for segment in segments] == [line.number for line in lines]
    for segment, line in zip(segments, lines, strict=True):
        assert segment["start"] <= (line.start + line.end) / 2 <= segment["end"]
        assert abs(segment["start"] - line.start) + abs(segment["end"] - line.end) < 1.0
    times = [time for segment in segments for time in (segment["start"], segment["end"])]
    assert times == sorted(times)
    assert times[-1] <= taken.consult.transcript["audio_s"]


def test_the_facts_are_the_gold_facts_with_their_sources(running_node: RunningNode, taken: Taken) -> None:
    assert spoken.note_facts(taken.consult.note) == spoken.gold_facts(taken.name)
    assert all(fact["verdict"]["supported"] for fact in taken.consult.note["facts"])


def test_every_sentence_stands_in_its_section_with_the_segment_it_came_from(
    running_node: RunningNode, taken: Taken
) -> None:
    gold = {part.code: part.sentences for part in spoken.gold(taken.name).note.sections}
    for section in taken.consult.note["sections"]:
        expected = {said.text: said.segments for said in gold[section["code"]]}
        written = {sentence["text"]: tuple(sentence["segments"]) for sentence in section["sentences"]}
        assert sorted(written.values()) == sorted(expected.values())
        assert word_error_rate(" ".join(expected), " ".join(written)) <= spoken.WORST_WER
    assert taken.consult.note["omitted"] == []


def test_ai_is_labelled_and_the_demonstration_says_so(running_node: RunningNode, taken: Taken) -> None:
    for product in (taken.consult.transcript, taken.consult.note):
        assert product["ai"]["demonstration_model"] is True
        assert re.fullmatch(r"[0-9a-f]{64}", product["ai"]["sha256"])
    assert taken.consult.note["ai"]["prompt_version"]
    assert taken.consult.note["ai"]["guard_version"]


def test_the_signed_note_is_read_aloud(running_node: RunningNode, taken: Taken, tmp_path: Path) -> None:
    told: list[str] = []
    heard = spoken.by_phone(
        running_node,
        USER,
        lambda phone: hear(phone, taken.consult, tmp_path, lambda _, sentence: told.append(sentence)),
    )
    assert heard is not None, told
    sound, rate = soundfile.read(heard)
    sentences = [said["text"] for section in taken.consult.note["sections"] for said in section["sentences"]]
    assert len(sound) / rate > len(words(" ".join(sentences))) / 6  # nobody says six words a second
    assert float(abs(sound).max()) > 0.05
    assert str(heard) in told[0]


def test_the_signature_holds_and_the_record_has_the_document(running_node: RunningNode, taken: Taken) -> None:
    consult = taken.consult
    assert consult.verification["valid"] is True
    with running_node.http("physician") as http:
        composition = http.get(f"{FHIR}/Composition/{consult.note['composition']}").json()
        assert composition["status"] == "final"
        assert composition["subject"]["reference"] == f"Patient/{consult.patient}"
        everything = http.get(f"/api/notes/{consult.note['id']}/export").json()
        kinds = {entry["resource"]["resourceType"] for entry in everything["entry"]}
        assert {"Composition", "Patient", "Encounter", "Provenance"} <= kinds


def test_every_vital_sign_that_was_said_is_an_observation(running_node: RunningNode, taken: Taken) -> None:
    with running_node.http("physician") as http:
        found = http.get(f"{FHIR}/Observation", params={"patient": taken.consult.patient}).json().get("entry", [])
    values = {
        str(part["valueQuantity"]["value"])
        for entry in found
        for part in entry["resource"].get("component", [entry["resource"]])
    }
    vitals = [fact for fact in spoken.gold(taken.name).note.facts if fact.kind == "vital"]
    said = {figure.replace(",", ".") for fact in vitals for figure in re.findall(r"\d+(?:,\d+)?", fact.value or "")}
    assert vitals
    assert values == said


def test_a_signed_note_can_only_be_amended(running_node: RunningNode, taken: Taken) -> None:
    with pytest.raises(RefusedError) as caught:
        spoken.by_phone(running_node, USER, lambda phone: phone.post(f"/api/notes/{taken.consult.note['id']}/sign", {}))
    assert caught.value.status == 409
    assert caught.value.problem["next_step"]


def test_progress_was_told(running_node: RunningNode, taken: Taken) -> None:
    assert [stage for stage in dict.fromkeys(taken.stages) if stage != "progress"] == [
        "patient",
        "chunk",
        "complete",
        "transcript",
        "draft",
        "signed",
    ]
    assert taken.stages.count("progress") >= 3


def test_the_audio_comes_back_bit_for_bit(running_node: RunningNode, taken: Taken) -> None:
    with running_node.http("physician") as http:
        kept = http.get(f"/api/dictations/{taken.consult.dictation}/audio").content
    assert kept == spoken.recording(taken.name)


def logs(node: RunningNode) -> str:
    paths = [*node.home.glob("logs/*"), node.home.parent / "home.stderr"]
    return "\n".join(path.read_text(errors="replace") for path in paths if path.is_file())


def test_no_patient_data_in_any_log(running_node: RunningNode, taken: Taken) -> None:
    text = logs(running_node)
    assert "core serves" in text
    facts = spoken.gold(taken.name).note.facts
    told = {word for fact in facts for word in words(fact.name) if len(word) > 7} - {
        "paciente",
        "masculino",
        "feminino",
    }
    secrets = {"Amostra", "Maria"} | told | {fact.name for fact in facts if fact.kind == "medication"}
    assert len(secrets) > 4
    assert not [secret for secret in secrets if secret in text]


def test_log_and_overview_carry_the_demonstration_label(running_node: RunningNode, taken: Taken) -> None:
    """The dashboard's banner stands on the same overview: ``test_dashboard_browser.py`` reads it in a browser."""
    text = logs(running_node)
    assert "speech: demonstration model in use" in text
    assert "chat: demonstration model in use" in text
    ready = [line for line in text.splitlines() if "engine ready" in line and line.startswith("{")]
    told = {json.loads(line)["engine"]: json.loads(line)["demonstration"] for line in ready}
    assert {name for name, demonstration in told.items() if demonstration} == {"whisper", "medgemma"}
    with running_node.http("physician") as http:
        models = http.get("/v1/models").json()["data"]
    assert {model["capability"] for model in models if model["demonstration_model"]} == {"speech_to_text", "chat_model"}
