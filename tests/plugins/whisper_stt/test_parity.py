"""The batch says of every utterance what mlx-whisper says of it alone, whoever else is in it, joins it or leaves it."""

from __future__ import annotations

import random
from typing import Any

import mlx.core as mx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mlx_whisper.decoding import DecodingOptions, DecodingResult, detect_language

from plugins.whisper_stt.engine import WhisperEngine
from plugins.whisper_stt.engine_batch import DecoderBatch, SpokenRow, loop_period, without_loop
from plugins.whisper_stt.engine_rules import TokenRules
from plugins.whisper_stt.engine_verdict import Attempts, Spoken
from tests.plugins import sounds
from tests.plugins.whisper_stt.reference import decode_utterances

PROMPTS = ["", "dipirona", "Paciente: Ana. Medicamentos: losartana, metformina, anlodipino.", "a " * 200]
LANGUAGES = ["pt", "en", "es"]


@pytest.fixture
def model(engine: WhisperEngine) -> Any:
    return engine._model


@pytest.fixture
def batch(engine: WhisperEngine) -> DecoderBatch:
    return DecoderBatch(engine._model, engine._rules)


def mel(engine: WhisperEngine, number: int) -> mx.array:
    from plugins.whisper_stt.messages import Utterance

    start = 0.4 + 0.7 * number
    pcm = sounds.pcm(sounds.seconds(start, start + 0.5 + (number % 5) * 0.8))
    return engine._mel(Utterance(pcm, "pt", "", 0.0, word_times=False))


def options(number: int) -> DecodingOptions:
    return DecodingOptions(
        language=LANGUAGES[number % 3], prompt=PROMPTS[number % 4] or None, sample_len=6 + 3 * (number % 5), fp16=False
    )


def row(engine: WhisperEngine, number: int) -> SpokenRow:
    wanted = options(number)
    beginning = engine._rules.beginning(str(wanted.language), str(wanted.prompt or ""))
    features = engine._model.encoder(mel(engine, number)[None])[0]
    return SpokenRow(number, features, beginning, wanted.sample_len or 0)


def expected(engine: WhisperEngine, number: int) -> DecodingResult:
    return decode_utterances(engine._model, mel(engine, number)[None], options(number))[0]


def assert_equal(spoken: SpokenRow, alone: DecodingResult) -> None:
    said = [token for token in alone.tokens if token is not None]
    if spoken.looped:  # the reference has no guard: it goes on saying the same
        assert said[: len(spoken.tokens)] == spoken.tokens
        return
    assert spoken.tokens == said
    assert spoken.mean_log_probability == pytest.approx(alone.avg_logprob, abs=1e-3)
    assert spoken.no_speech_probability == pytest.approx(alone.no_speech_prob, abs=1e-4)


def test_mixed_prompts_languages_and_lengths_equal_the_reference(engine: WhisperEngine, batch: DecoderBatch) -> None:
    ended = list(batch.join([row(engine, number) for number in range(12)]))
    while len(batch):
        ended += batch.step()
    assert sorted(one.key for one in ended) == list(range(12))
    for one in ended:
        assert_equal(one, expected(engine, one.key))
    assert len({tuple(one.tokens) for one in ended}) > 6


def test_rows_that_join_and_leave_in_between_change_nothing(engine: WhisperEngine, batch: DecoderBatch) -> None:
    rng = random.Random(3)
    waiting, ended, removed = list(range(20)), [], set()
    while waiting or len(batch):
        count = rng.randrange(4)
        group, waiting = waiting[:count], waiting[count:]
        if group:
            ended += batch.join([row(engine, number) for number in group])
        ended += batch.step()
        if rng.random() < 0.2 and batch._rows:
            victim = rng.choice(batch._rows).key
            batch.remove({victim})
            removed.add(victim)
    assert len(removed) > 1
    assert {one.key for one in ended} == set(range(20)) - removed
    for one in ended:
        assert_equal(one, expected(engine, one.key))


def test_this_suite_notices_padding_that_is_seen(
    engine: WhisperEngine, batch: DecoderBatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    import plugins.whisper_stt.engine_batch as module

    sound = module._mask
    monkeypatch.setattr(module, "_mask", lambda padding, column, columns: sound(padding * 0, column, columns))
    ended = list(batch.join([row(engine, number) for number in range(8)]))
    while len(batch):
        ended += batch.step()
    different = 0
    for one in ended:
        alone = expected(engine, one.key)
        different += abs(one.mean_log_probability - alone.avg_logprob) > 1e-3 and not one.looped
    assert different > 0


def test_the_language_that_is_heard_is_the_reference_s(engine: WhisperEngine, batch: DecoderBatch) -> None:
    mels = mx.stack([mel(engine, number) for number in range(5)])
    _, probabilities = detect_language(engine._model, mels, engine._rules.tokenizer("en"))
    assert batch.detect_languages(engine._model.encoder(mels)) == [max(one, key=one.get) for one in probabilities]


def test_nothing_is_left_when_everybody_has_gone(engine: WhisperEngine, batch: DecoderBatch) -> None:
    batch.join([row(engine, number) for number in range(3)])
    batch.remove({0, 1, 2})
    assert (len(batch), batch._columns, batch.step()) == (0, 0, [])
    ended = list(batch.join([row(engine, 4)]))
    while len(batch):
        ended += batch.step()
    assert_equal(ended[0], expected(engine, 4))


def test_a_seedless_warm_row_draws_from_its_own_stream(engine: WhisperEngine, batch: DecoderBatch) -> None:
    def warm(number: int, stream: int) -> SpokenRow:
        made = row(engine, 1)
        made.key, made.temperature, made.random = number, 1.0, mx.random.key(stream)
        return made

    def said(*rows: SpokenRow) -> dict[int, list[int]]:
        ended = list(batch.join(rows))
        while len(batch):
            ended += batch.step()
        return {one.key: one.tokens for one in ended}

    alone = said(warm(1, 7))[1]
    crowd = said(warm(5, 8), warm(1, 7), row(engine, 2))
    assert crowd[1] == alone
    assert crowd[5] != alone


# -- rules ------------------------------------------------------------------------------------------------------------------
def test_the_first_token_is_a_time_and_no_row_is_ever_left_without_a_token(model: Any) -> None:
    rules = TokenRules(model)
    tokenizer = rules.tokenizer("pt")
    first = np.flatnonzero(np.isfinite(np.array(rules.first)))
    assert first.min() == tokenizer.timestamp_begin
    assert len(first) == 51
    later = np.isfinite(np.array(rules.later))
    assert later[tokenizer.eot]
    assert not later[[tokenizer.no_timestamps, tokenizer.sot, tokenizer.sot_prev, tokenizer.no_speech]].any()


@pytest.mark.parametrize("prompt", PROMPTS)
def test_a_beginning_never_takes_more_than_half_the_context(model: Any, prompt: str) -> None:
    rules = TokenRules(model)
    start = list(rules.tokenizer("pt").sot_sequence)
    beginning = rules.beginning("pt", prompt)
    assert beginning[-len(start) :] == start
    assert len(beginning) <= model.dims.n_text_ctx // 2 + len(start)
    assert (beginning[0] == rules.tokenizer("pt").sot_prev) == bool(prompt)


@given(
    st.lists(st.integers(0, 3), max_size=30), st.lists(st.integers(4, 9), min_size=1, max_size=12), st.integers(4, 7)
)
def test_a_repeated_end_is_found_and_said_once(before: list[int], unit: list[int], times: int) -> None:
    tokens = before + unit * times
    period = loop_period(tokens)
    assert 0 < period <= len(unit)
    kept = without_loop(tokens)
    assert tokens[: len(kept)] == kept
    assert len(kept) == len(tokens) - 3 * period


@given(st.lists(st.integers(0, 400), max_size=60, unique=True))
def test_what_does_not_repeat_is_left_alone(tokens: list[int]) -> None:
    assert loop_period(tokens) == 0
    assert without_loop(tokens) == tokens


def attempt(*, average: float, no_speech: float = 0.0, looped: bool = False, count: int = 9) -> SpokenRow:
    spoken = SpokenRow(1, mx.zeros((1, 1)), [1], 50)
    spoken.tokens, spoken.log_probability = list(range(count)), average * (count + 1)
    spoken.no_speech_probability, spoken.looped = no_speech, looped
    return spoken


def test_no_speech_is_believed_only_where_the_text_is_unsure() -> None:
    attempts = Attempts(0.6, (0.2,))
    silent = attempts.judge(attempt(average=-1.5, no_speech=0.9), "texto", warm=False)
    sure = attempts.judge(attempt(average=-0.5, no_speech=0.9), "texto", warm=False)
    assert isinstance(silent, Spoken)
    assert isinstance(sure, Spoken)
    assert (silent.text, sure.text) == ("", "texto")


def test_a_guess_is_decoded_again_and_the_surest_attempt_stands() -> None:
    attempts = Attempts(0.6, (0.2, 0.4))
    assert attempts.judge(attempt(average=-1.2), "primeira", warm=False) == 0.2
    assert attempts.judge(attempt(average=-1.1), "segunda", warm=False) == 0.4
    last = attempts.judge(attempt(average=-1.3), "terceira", warm=False)
    assert isinstance(last, Spoken)
    assert last.text == "segunda"
    attempts.forget(1)
    assert attempts.judge(attempt(average=-1.2), "outra", warm=False) == 0.2


def test_what_repeats_itself_is_cut_and_counts_for_little() -> None:
    attempts = Attempts(0.6, ())
    loop = attempt(average=-0.1, looped=True)
    loop.tokens = [5, 6, *([7, 8] * 4)]
    spoken = attempts.judge(loop, "dor dor dor", warm=False)
    assert isinstance(spoken, Spoken)
    assert spoken.tokens == [5, 6, 7, 8]
    assert spoken.confidence < 0.3
    sure = attempts.judge(attempt(average=-0.1), "dor", warm=False)
    assert isinstance(sure, Spoken)
    assert sure.confidence > 0.85


def test_a_temperature_that_was_asked_for_is_not_raised() -> None:
    spoken = Attempts(0.6, (0.2,)).judge(attempt(average=-3.0), "texto", warm=True)
    assert isinstance(spoken, Spoken)
