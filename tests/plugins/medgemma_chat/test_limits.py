"""Memory that cannot be exceeded, prompts that hold nobody up, and caches that keep to their namespace."""

from __future__ import annotations

import random
from typing import Any

import mlx.core as mx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.plugin_api.capabilities import ChatMessage
from appliance.plugin_api.kv_geometry import KvGeometry
from plugins.medgemma_chat.budget import in_blocks, kv_budget_bytes
from plugins.medgemma_chat.engine import ChatEngine
from plugins.medgemma_chat.engine_buckets import MOST_TURNS_GIVEN
from plugins.medgemma_chat.engine_limits import KvBudget, PrefillPace
from plugins.medgemma_chat.engine_prefix import SHARED, PrefixCache
from tests.plugins.medgemma_chat.driving import Answer, collect, request, submit

KV = KvGeometry(global_layers=2, sliding_layers=2, window=32, kv_heads=1, head_dim=32, number_bytes=4)
TENANTS = st.sampled_from(["ana|p1", "ana|p2", "bia|p1", SHARED])


class Layer:
    """Stands for one layer's cache: as many bytes as said, and a mark of whose it is."""

    def __init__(self, owner: str, nbytes: int) -> None:
        self.owner, self.nbytes, self.state = owner, nbytes, mx.zeros(1)


def test_rows_wait_while_the_memory_is_taken_and_none_is_refused(tiny_config: dict[str, Any]) -> None:
    engine = ChatEngine()
    engine.load({**tiny_config, "context_tokens": 512, "kv_mib": 1, "batch_size": 32})
    budget = engine.stats()["kv_budget_bytes"]
    assert budget == 1 << 20
    rng = random.Random(4)
    for number in range(24):
        text = "dor " * rng.choice((3, 40, 200))
        submit(engine, number, request(text, max_tokens=rng.randrange(5, 40)))
    answers: dict[int, Answer] = {}
    waited = 0
    while engine.busy():
        collect(engine, answers)
        stats = engine.stats()
        assert stats["cache_bytes"] <= budget
        waited += stats["waiting"] > 0
    assert waited > 10
    assert {answer.reason for answer in answers.values()} <= {"stop", "length"}
    assert len(answers) == 24


def test_a_budget_smaller_than_the_context_shortens_the_context(tiny_config: dict[str, Any]) -> None:
    engine = ChatEngine()
    wide = {**tiny_config, "context_tokens": 512}
    full = engine.load({**wide, "kv_mib": 64}).info["context_tokens"]
    one_mib_rows = KvBudget(engine._language.kv, 1 << 18).longest_context(512)
    assert full == 512
    assert one_mib_rows < 512


@given(st.lists(st.lists(st.integers(1, 5000), max_size=6), max_size=4), st.integers(1, 5000))
def test_a_bucket_counts_as_if_every_row_were_its_longest(buckets: list[list[int]], more: int) -> None:
    budget = KvBudget(KV, 1 << 40)
    needed = budget.needed(buckets)
    assert needed >= sum(KV.row_bytes(length) for rows in buckets for length in rows)
    assert budget.needed([*buckets, [more]]) > needed
    assert KvBudget(KV, needed).fits(buckets)
    assert not KvBudget(KV, needed).fits([*buckets, [more]])


@given(st.integers(1, 131_072), st.integers(1, 256))
def test_the_usual_budget_holds_a_full_row(context: int, rows: int) -> None:
    held = kv_budget_bytes(KV, context, rows, 0)
    assert KvBudget(KV, held).longest_context(context) == context
    assert held <= max(2, rows) * KV.row_bytes(in_blocks(context))
    assert kv_budget_bytes(KV, context, rows, 7) == 7 << 20


def test_a_chunk_shrinks_with_the_cost_of_a_token_and_with_the_rows_that_read() -> None:
    pace = PrefillPace(0.1, 512)
    assert pace.tokens(1, others_wait=False) == 512
    first = pace.tokens(1, others_wait=True)
    for _ in range(20):
        pace.learn(100, 0.1)  # a millisecond a token
    assert first < 100
    assert pace.tokens(1, others_wait=True) == pytest.approx(100, abs=2)
    assert pace.tokens(4, others_wait=True) == pytest.approx(25, abs=2)
    assert pace.tokens(1000, others_wait=True) >= 16
    pace.learn(0, 1.0)
    pace.learn(10, 0.0)
    assert pace.tokens(1, others_wait=True) == pytest.approx(100, abs=2)


def first_tokens(engine: ChatEngine, arrivals: dict[int, str]) -> dict[int, int]:
    """The step of each request's first piece; ``arrivals``: what comes before which step (their numbers are the requests')."""
    seen: dict[int, int] = {}
    answers: dict[int, Answer] = {}
    step = 0
    while step <= max(arrivals) or engine.busy():
        if step in arrivals:
            submit(engine, step, request(arrivals[step], max_tokens=2))
        collect(engine, answers)
        for known in answers:
            seen.setdefault(known, step)
        step += 1
    return seen


def test_a_short_prompt_goes_before_the_chunks_of_a_long_one(tiny_config: dict[str, Any]) -> None:
    engine = ChatEngine()
    engine.load({**tiny_config, "context_tokens": 512, "bucket_edges": (64,), "prefill_step_tokens": 16})
    alone = first_tokens(engine, {0: "dor"})[0]
    seen = first_tokens(engine, {0: "tosse " * 150, 5: "dor"})
    assert seen[5] - 5 == alone  # not one step more than with nobody else there
    assert seen[5] < seen[0]
    engine.close()


def test_a_long_prompt_gets_its_turn_however_many_short_ones_come(tiny_config: dict[str, Any]) -> None:
    engine = ChatEngine()
    engine.load({**tiny_config, "context_tokens": 512, "bucket_edges": (64,), "prefill_step_tokens": 64})
    alone = first_tokens(engine, {0: "tosse " * 150})[0]
    seen = first_tokens(engine, {0: "tosse " * 150} | dict.fromkeys(range(1, 120), "dor"))
    assert seen[0] <= (alone + 1) * (MOST_TURNS_GIVEN + 1)
    engine.close()


def test_a_long_prompt_is_read_while_others_answer(tiny_config: dict[str, Any]) -> None:
    engine = ChatEngine()
    engine.load({**tiny_config, "context_tokens": 512, "bucket_edges": (64,), "stall_s": 1e-6})
    submit(engine, 1, request("dor", max_tokens=60, temperature=1.0, seed=3))
    answers: dict[int, Answer] = {}
    collect(engine, answers)
    submit(engine, 2, request("tosse " * 150, max_tokens=3))
    between = 0
    while engine.busy() and 2 not in answers:
        before = answers[1].completion_tokens if 1 in answers else 0
        pieces = answers[1].pieces if 1 in answers else 0
        collect(engine, answers)
        between += 1 in answers and (answers[1].pieces > pieces or answers[1].completion_tokens > before)
    assert between > 5
    engine.close()


# -- beginnings -----------------------------------------------------------------------------------------------------------
@given(
    st.lists(st.tuples(TENANTS, st.lists(st.integers(0, 2), min_size=16, max_size=24)), max_size=30),
    st.integers(0, 400),
)
def test_no_lookup_leaves_its_namespace(kept: list[tuple[str, list[int]]], max_bytes: int) -> None:
    cache = PrefixCache(max_bytes, 100.0, clock=lambda: 0.0)
    for tenant, tokens in kept:
        cache.keep(tenant, tokens, [Layer(tenant, len(tokens))])
        assert cache.nbytes <= max_bytes
    for tenant in ("ana|p1", "ana|p2", "bia|p1", "ninguém|"):
        for _, tokens in kept:
            prompt = [*tokens, 9]
            found = cache.longest(tenant, prompt)
            known = {len(other) for space, other in kept if space in {tenant, SHARED} and prompt[: len(other)] == other}
            if found is None:
                continue
            beginning, layers = found
            assert layers[0].owner in {tenant, SHARED}
            assert prompt[: len(beginning)] == beginning
            assert len(beginning) in known


def test_the_longest_beginning_wins_and_a_whole_prompt_is_none() -> None:
    cache = PrefixCache(10_000, 100.0, clock=lambda: 0.0)
    tokens = list(range(40))
    for length in (16, 30, 40):
        cache.keep("ana|p1", tokens[:length], [Layer("ana|p1", 10)])
    found = cache.longest("ana|p1", tokens)
    assert found is not None
    assert len(found[0]) == 30
    assert cache.longest("ana|p2", tokens) is None
    assert cache.longest("ana|p1", [7, *tokens]) is None


def test_what_is_old_or_too_much_is_forgotten_least_recently_used_first() -> None:
    now = [0.0]
    cache = PrefixCache(100, 60.0, clock=lambda: now[0])
    for start in (0, 100, 200):
        cache.keep("ana|p1", range(start, start + 20), [Layer("ana|p1", 30)])
    assert cache.longest("ana|p1", [*range(20), 5]) is not None
    cache.keep("ana|p1", range(300, 320), [Layer("ana|p1", 30)])
    assert cache.longest("ana|p1", [*range(100, 120), 5]) is None
    assert cache.longest("ana|p1", [*range(20), 5]) is not None
    now[0] = 61.0
    assert cache.longest("ana|p1", [*range(20), 5]) is None
    assert (len(cache), cache.nbytes) == (0, 0)


@pytest.mark.parametrize(("max_bytes", "length", "nbytes"), [(0, 20, 1), (100, 5, 1), (100, 20, 101)])
def test_what_is_not_worth_keeping_is_not_kept(max_bytes: int, length: int, nbytes: int) -> None:
    cache = PrefixCache(max_bytes, 60.0)
    cache.keep("ana|p1", range(length), [Layer("ana|p1", nbytes)])
    assert (len(cache), cache.nbytes) == (0, 0)


def test_only_the_product_s_own_instructions_are_shared(tiny_config: dict[str, Any]) -> None:
    engine = ChatEngine()
    engine.load({**tiny_config, "prefix_mib": 16})
    instructions = ChatMessage("system", "paciente respiração tosse febre " * 6)
    # The tiny template wants roles to alternate: system, assistant, user.
    middle = ChatMessage("assistant", "sim")
    for number, public in ((1, False), (2, False), (3, True), (4, True)):
        messages = [instructions, middle, ChatMessage("user", f"dor {number}")]
        submit(engine, number, request(messages, public_system=public, max_tokens=2), tenant=f"u{number}|p{number}")
        while engine.busy():
            engine.step()
        hits = engine.stats()["prefix_hits"]
        assert hits == (1 if number == 4 else 0)
    spaces = {space for space, _ in engine._prefixes._entries}
    assert spaces == {"u1|p1", "u2|p2", "u3|p3", "u4|p4", SHARED}
