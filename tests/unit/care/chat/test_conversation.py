from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence

import pytest

from appliance.care import guard
from appliance.care.chat.claims import Claim
from appliance.care.chat.conversation import Finished, answer, call_for
from appliance.care.chat.retrieval import Context, Source
from appliance.plugin_api.capabilities import ChatMessage, ChatModel
from appliance.plugin_host.choice import Choice
from tests.fakes.care_models import ScriptedChat

LOSARTAN = Source(1, "MedicationRequest/1", 2, "2024-05-02", "Em uso de losartana 50 mg.", "/fhir")
CONTEXT = Context((LOSARTAN,), (), ())


async def asked(text: str) -> list[Claim | Finished]:
    choice: Choice[ChatModel] = Choice(ScriptedChat([text]), "scripted", "scripted")
    turns = [ChatMessage("user", "O que usa?")]
    return [piece async for piece in answer(turns, CONTEXT, choice, call_for("u1", "p1"), max_tokens=64)]


async def test_an_answer_is_its_claims_and_then_its_label() -> None:
    *claims, last = await asked("Usa losartana 50 mg [1]. Usa losartana 100 mg [1].")
    assert [claim.status for claim in claims if isinstance(claim, Claim)] == ["supported", "unsupported"]
    assert isinstance(last, Finished)
    assert (last.ai.sha256, last.ai.guard_version) == ("b" * 64, guard.VERSION)


async def test_a_claim_is_held_to_the_record_beside_the_event_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    check, threads = guard.check_sentence, set[int]()

    def noted(text: str, segments: Sequence[int], transcript: Mapping[int, str]) -> guard.Verdict:
        threads.add(threading.get_ident())
        return check(text, segments, transcript)

    monkeypatch.setattr(guard, "check_sentence", noted)
    assert len(await asked("Usa losartana 50 mg [1]. Nega febre.")) == 3
    assert threads
    assert threading.get_ident() not in threads
