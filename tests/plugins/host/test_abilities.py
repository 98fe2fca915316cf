from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from appliance.config import ConfigError
from appliance.plugin_api.engine import EngineStatus
from appliance.plugin_api.errors import ProntuarioError
from appliance.plugin_api.hooks import Provider
from appliance.plugin_host.abilities import Offer, PluginAbilities
from tests.fakes.providers import Chat, Cloud, Engine


def offer(plugin: str, chat: Any = None, status: EngineStatus | None = None, **provider: Any) -> Offer:
    engines: Any = () if status is None else (Engine(status),)
    return Offer(plugin, Provider("chat_model", "main", chat or Chat(plugin), **provider), engines)


def choose(offers: list[Offer], order: Mapping[str, Any] | None = None, request: Any = None) -> tuple[str, bool]:
    choice = PluginAbilities(offers, order or {}).chat_model(request)
    return choice.plugin, choice.degraded


def test_the_higher_priority_wins() -> None:
    assert choose([offer("low", priority=1), offer("high", priority=2)]) == ("high", False)


@pytest.mark.parametrize("name", ["low", "low.main"])
def test_the_configured_order_beats_priority_and_score(name: str) -> None:
    offers = [offer("low", priority=1), offer("high", priority=2, score=lambda _request: 100.0)]
    assert choose(offers, {"chat_model": (name,)}, "any request") == ("low", False)


def test_the_score_for_this_request_beats_priority() -> None:
    offers = [
        offer("generalist", priority=10, score=lambda _request: 0.5),
        offer("cardiologist", score=lambda request: 1.0 if request == "heart" else 0.0),
    ]
    assert choose(offers, request="heart")[0] == "cardiologist"
    assert choose(offers, request="skin")[0] == "generalist"


def test_a_score_that_raises_is_no_opinion() -> None:
    offers = [offer("bad", score=lambda request: 1 / 0), offer("good", priority=1, score=lambda _request: 0.0)]
    assert choose(offers, request="x") == ("good", False)


def test_a_tie_is_an_error_that_names_both() -> None:
    with pytest.raises(ConfigError) as tie:
        PluginAbilities([offer("one"), offer("two")], {})
    assert "one.main" in str(tie.value)
    assert "two.main" in str(tie.value)
    assert "[capabilities]" in str(tie.value)


def test_an_order_resolves_a_tie() -> None:
    assert choose([offer("one"), offer("two")], {"chat_model": ("two", "one")}) == ("two", False)


@pytest.mark.parametrize("status", [EngineStatus.CIRCUIT_OPEN, EngineStatus.REFUSED, EngineStatus.RESTARTING])
def test_a_fallback_is_marked_degraded(status: EngineStatus) -> None:
    offers = [offer("best", Chat("best", ready=False), status, priority=2), offer("second", priority=1)]
    assert choose(offers) == ("second", True)


@pytest.mark.parametrize("status", [EngineStatus.STARTING, EngineStatus.RESTARTING])
def test_the_only_one_is_chosen_while_it_comes_up_because_requests_wait_in_its_queue(status: EngineStatus) -> None:
    assert choose([offer("only", Chat("only", ready=False), status)]) == ("only", False)


@pytest.mark.parametrize("status", [EngineStatus.CIRCUIT_OPEN, EngineStatus.REFUSED, EngineStatus.STOPPED, None])
def test_none_that_can_serve_is_unavailable(status: EngineStatus | None) -> None:
    with pytest.raises(ProntuarioError) as nobody:
        choose([offer("only", Chat("only", ready=False), status)])
    assert nobody.value.kind.code == "capability.unavailable"
    assert nobody.value.kind.status == 503
    assert nobody.value.details["capability"] == "chat_model"


def test_none_at_all_is_unavailable() -> None:
    abilities = PluginAbilities([], {})
    for ask in (abilities.speech_to_text, abilities.chat_model, abilities.image_analyser, abilities.face_verifier):
        with pytest.raises(ProntuarioError):
            ask()


def test_a_provider_that_can_not_describe_itself_is_not_chosen() -> None:
    broken = Chat("broken")
    broken.broken = True
    assert choose([offer("broken", broken, priority=9), offer("fine")]) == ("fine", True)


def test_a_provider_that_waits_for_its_first_pack_is_neither_chosen_nor_listed_nor_a_fallback() -> None:
    without = Chat("without", ready=False, installed=False)
    offers = [offer("without", without, EngineStatus.STARTING, priority=9), offer("fine")]
    assert choose(offers) == ("fine", False)
    abilities = PluginAbilities(offers, {})
    assert [model.id for model in abilities.models()] == ["fine"]
    assert "chat_model" in abilities.offered("without")
    with pytest.raises(ProntuarioError) as caught:
        PluginAbilities(offers[:1], {}).chat_model()
    assert caught.value.kind.code == "capability.unavailable"


def test_it_recovers_as_soon_as_the_preferred_one_is_ready_again() -> None:
    best = Chat("best", ready=False)
    abilities = PluginAbilities([offer("best", best, priority=2), offer("second")], {})
    told: list[str] = []
    abilities.fell_back = told.append
    assert abilities.chat_model().degraded
    assert told == ["chat_model"]
    best.ready = True
    assert abilities.chat_model().plugin == "best"
    assert not abilities.chat_model().degraded


def test_a_removed_plugin_is_chosen_no_more() -> None:
    abilities = PluginAbilities([offer("one", priority=2), offer("two")], {})
    assert abilities.offered("one") == ("chat_model",)
    abilities.remove("one")
    assert abilities.chat_model().plugin == "two"
    assert abilities.offered("one") == ()
    assert [model.id for model in abilities.models()] == ["two"]


@pytest.mark.parametrize("configured", [True, False])
def test_the_cloud_is_an_ability_only_where_it_is_configured(configured: bool) -> None:
    abilities = PluginAbilities([Offer("gcp", Provider("cloud_sync", "gcp", Cloud(configured=configured)))], {})
    if configured:
        assert abilities.cloud_sync().plugin == "gcp"
    else:
        with pytest.raises(ProntuarioError):
            abilities.cloud_sync()
