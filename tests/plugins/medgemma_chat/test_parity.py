"""The batched engine says, token by token, what mlx-lm says alone: any batch, any neighbours, any cache, any bucket."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np
import pytest
from mlx_lm.generate import generate_step
from mlx_lm.models.cache import make_prompt_cache

from appliance.plugin_api.capabilities import ChatMessage
from appliance.plugin_api.kv_geometry import figures_of
from plugins.medgemma_chat.engine import ChatEngine
from plugins.medgemma_chat.engine_buckets import Buckets
from plugins.medgemma_chat.engine_prefix import PrefixCache
from plugins.medgemma_chat.messages import ChatRequest
from tests.plugins.medgemma_chat.driving import Answer, collect, one, request, run, submit

WINDOW = 32
WORDS = ["tosse", "febre", "dor", "respiração", "paciente", "nega", "há", "3", "dias", "500", "mg", "pela", "manhã"]
LENGTHS = (1, 3, 12, 25, 33, 60, 90)
ANSWER = 20


@pytest.fixture(params=[0, 64], ids=["no prefix cache", "prefix cache"])
def parity_engine(tiny_config: dict[str, Any], request: pytest.FixtureRequest) -> ChatEngine:
    made = ChatEngine()
    made.load(
        {**tiny_config, "batch_size": 32, "bucket_edges": (24, 64), "prefix_mib": request.param, "stall_s": 0.002}
    )
    return made


def sentence(rng: random.Random, length: int) -> str:
    return " ".join(rng.choice(WORDS) for _ in range(length))


def reference(engine: ChatEngine, wanted: ChatRequest) -> tuple[str, str]:
    """What mlx-lm's own single generation gives: text and why it ended."""
    language, tokens, reason = engine._language, [], "length"
    prompt = engine._prompts.build(wanted.messages)
    most = min(wanted.options.max_tokens, engine._context_tokens - len(prompt))
    for token, _ in generate_step(mx.array(prompt), language.model, max_tokens=most):
        if int(token) in engine._ends:
            reason = "stop"
            break
        tokens.append(int(token))
    return shown(engine._decode(tokens)), reason


def shown(text: str) -> str:
    """Without the unfinished characters that a random model ends in; readers never get them."""
    return text.rstrip("\ufffd")


def said(answers: list[Answer]) -> list[tuple[str, str | None]]:
    return [(shown(answer.text), answer.reason) for answer in answers]


@pytest.mark.parametrize("count", [1, 7, 32])
def test_every_row_of_a_batch_equals_the_reference(parity_engine: ChatEngine, count: int) -> None:
    rng = random.Random(count)
    wanted = [request(sentence(rng, rng.choice(LENGTHS)), max_tokens=ANSWER) for _ in range(count)]
    expected = [reference(parity_engine, one_request) for one_request in wanted]
    assert said(run(parity_engine, *wanted)) == expected
    assert len({text for text, _ in expected}) > count // 3
    prompts = [len(parity_engine._prompts.build(one_request.messages)) for one_request in wanted]
    assert count == 1 or (min(prompts) < WINDOW and max(prompts) > 2 * WINDOW)


def test_neighbours_that_join_leave_and_are_cancelled_change_nothing(parity_engine: ChatEngine) -> None:
    rng = random.Random(5)
    wanted = {number: request(sentence(rng, rng.choice(LENGTHS)), max_tokens=ANSWER) for number in range(40)}
    expected = {number: reference(parity_engine, one_request) for number, one_request in wanted.items()}
    answers: dict[int, Answer] = {}
    waiting, cancelled = list(wanted), set()
    while waiting or parity_engine.busy():
        for number in waiting[: rng.randrange(4)]:
            submit(parity_engine, number, wanted[number], tenant=f"u{number % 3}|")
            waiting.remove(number)
        collect(parity_engine, answers)
        running = [number for number in wanted if number not in waiting and number not in cancelled]
        if rng.random() < 0.15 and running:
            victim = rng.choice(running)
            if victim not in answers or answers[victim].reason is None:
                parity_engine.cancel(victim)
                cancelled.add(victim)
    assert len(cancelled) > 3
    for number in set(wanted) - cancelled:
        assert (shown(answers[number].text), answers[number].reason) == expected[number]
    assert all(number not in answers or answers[number].reason is None for number in cancelled)


def test_a_conversation_that_grows_equals_the_reference_at_every_turn(parity_engine: ChatEngine) -> None:
    rng = random.Random(9)
    messages: list[ChatMessage] = []
    for turn in range(5):
        messages.append(ChatMessage("user", sentence(rng, 9)))
        wanted = request(list(messages), max_tokens=ANSWER)
        expected = reference(parity_engine, wanted)
        submit(parity_engine, turn, wanted, tenant="dra|p1")
        answers: dict[int, Answer] = {}
        while parity_engine.busy():
            collect(parity_engine, answers)
        assert (shown(answers[turn].text), answers[turn].reason) == expected
        messages.append(ChatMessage("assistant", answers[turn].text or "sim"))
    if parity_engine._prefixes.max_bytes:
        assert parity_engine._prefixes.hits >= 3
        assert parity_engine._prefixes.hit_tokens > 2 * WINDOW


def test_the_same_prompt_again_reads_only_its_last_token(tiny_config: dict[str, Any]) -> None:
    engine = ChatEngine()
    engine.load({**tiny_config, "prefix_mib": 64})
    wanted = request("tosse seca há 3 dias " * 6, max_tokens=ANSWER)
    expected = reference(engine, wanted)
    for _ in range(3):
        submit(engine, 1, wanted, tenant="dra|p1")
        answers: dict[int, Answer] = {}
        while engine.busy():
            collect(engine, answers)
        assert (shown(answers[1].text), answers[1].reason) == expected
    assert engine.stats()["prefix_hit_tokens"] == 2 * (answers[1].prompt_tokens - 1)


def test_log_probabilities_are_the_reference_s(parity_engine: ChatEngine) -> None:
    wanted = request(sentence(random.Random(3), 40), max_tokens=ANSWER, top_logprobs=3)
    answer = run(parity_engine, wanted)[0]
    prompt = parity_engine._prompts.build(wanted.messages)
    expected = [
        (int(token), np.array(logprobs.astype(mx.float32)))
        for token, logprobs in generate_step(mx.array(prompt), parity_engine._language.model, max_tokens=ANSWER)
    ][: len(answer.logprobs)]
    assert len(answer.logprobs) >= answer.completion_tokens - 1
    for told, (token, values) in zip(answer.logprobs, expected, strict=True):
        assert told.logprob == pytest.approx(float(values[token]), abs=1e-3)
        assert [value for _, value in told.top] == pytest.approx(sorted(values, reverse=True)[:3], abs=1e-3)


Breaking = Callable[[pytest.MonkeyPatch], None]


def one_bucket_of_unpadded_rows(patch: pytest.MonkeyPatch) -> None:
    """A neighbour's beginning is handed to a row as if it were its own."""

    def any_entry(self: PrefixCache, tenant: str, prompt: list[int]) -> tuple[list[int], list[Any]] | None:
        entry = next(iter(self._entries.values()), None)
        return None if entry is None or len(entry.tokens) >= len(prompt) else (list(entry.tokens), entry.cache)

    patch.setattr(PrefixCache, "longest", any_entry)


def rows_mixed_up(patch: pytest.MonkeyPatch) -> None:
    """A bucket hands a row's token to its neighbour."""
    step = Buckets.step

    def swapped(self: Buckets) -> Any:
        for tokens in step(self):
            if len(tokens) > 1 and not (tokens[0].finish or tokens[1].finish):
                tokens[0].token, tokens[1].token = tokens[1].token, tokens[0].token
            yield tokens

    patch.setattr(Buckets, "step", swapped)


@pytest.mark.parametrize("breaking", [one_bucket_of_unpadded_rows, rows_mixed_up])
def test_this_suite_notices_a_broken_cache_and_broken_buckets(
    tiny_config: dict[str, Any], monkeypatch: pytest.MonkeyPatch, breaking: Breaking
) -> None:
    engine = ChatEngine()
    engine.load({**tiny_config, "prefix_mib": 64, "bucket_edges": (24, 64)})
    rng = random.Random(2)
    wanted = [request(sentence(rng, 12 + number), max_tokens=ANSWER) for number in range(6)]
    expected = [reference(engine, one_request) for one_request in wanted]
    breaking(monkeypatch)
    run(engine, *wanted)
    assert said(run(engine, *wanted)) != expected


def test_rows_of_different_lengths_never_share_a_batch(parity_engine: ChatEngine) -> None:
    for number, length in enumerate((2, 3, 30, 90)):
        submit(parity_engine, number, request(sentence(random.Random(1), length), max_tokens=4))
    parity_engine.step()
    buckets = parity_engine._buckets
    assert buckets is not None
    lengths = [{len(row.prompt) for row in bucket.rows.values()} for bucket in buckets._buckets.values() if bucket.rows]
    assert len(lengths) == 3
    for group in lengths:
        assert len({sum(length >= edge for edge in (24, 64)) for length in group}) == 1
    parity_engine.close()


def test_the_geometry_is_that_of_the_real_cache_and_of_the_configuration(
    parity_engine: ChatEngine, tiny_config: dict[str, Any]
) -> None:
    kv = parity_engine._language.kv
    assert (kv.global_layers, kv.sliding_layers, kv.window) == (2, 2, WINDOW)
    cache = make_prompt_cache(parity_engine._language.model)
    parity_engine._language.model(mx.array([[7] * 50]), cache=cache)
    for layer in cache:
        keys, values = layer.state[:2]
        assert (keys.nbytes + values.nbytes) // keys.shape[2] == kv.layer_token_bytes
    declared = figures_of(json.loads((Path(tiny_config["folder"]) / "config.json").read_bytes()), number_bytes=4)
    assert declared.kv == kv


def test_one_after_the_other_equals_the_reference(parity_engine: ChatEngine) -> None:
    for number in range(3):
        text = sentence(random.Random(number), 30)
        answer = one(parity_engine, text, max_tokens=ANSWER)
        assert (shown(answer.text), answer.reason) == reference(parity_engine, request(text, max_tokens=ANSWER))
