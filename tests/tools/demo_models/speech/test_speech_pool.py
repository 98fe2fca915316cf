from __future__ import annotations

import json
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.tools.demo_models.speech.conftest import PLAN
from tools.demo_models.grammar import is_held_out
from tools.demo_models.speech.pool import LONGEST_S, Pool, PoolPlan, make_shard, make_shards, speak
from tools.demo_models.speech.vocabulary import (
    FULL_SIZE,
    Vocabulary,
    load_vocabulary,
    vocabulary_of,
    whisper_tokenizer,
)


def test_a_shard_is_the_same_whoever_makes_it(pool_folder: Path, tmp_path: Path) -> None:
    for name in ("manifest.json", "vocabulary.json", "00000.npy", "00000.json"):
        shutil.copy(pool_folder / name, tmp_path / name)
    assert list(make_shards(tmp_path, PLAN)) == [1, 2]
    for name in ("00001.npy", "00001.json"):
        assert (tmp_path / name).read_bytes() == (pool_folder / name).read_bytes()


def test_other_seeds_and_shards_say_other_things(pool: Pool) -> None:
    first = {pool[index].text for index in range(PLAN.per_shard)}
    second = {pool[index].text for index in range(PLAN.per_shard, 2 * PLAN.per_shard)}
    other = {utterance.text for utterance in speak(replace(PLAN, seed=12), 0)}
    assert first != second
    assert first != other


def test_training_never_holds_a_held_out_sentence_and_tests_hold_nothing_else(pool: Pool) -> None:
    assert not [pool[index].text for index in range(len(pool)) if is_held_out(pool[index].text)]
    held_out = list(speak(PoolPlan(6, 1, "held_out", "far"), 0))
    assert all(is_held_out(utterance.text) for utterance in held_out)


def test_utterances_fit_the_window_and_repeat_little(pool: Pool) -> None:
    assert len(pool) == PLAN.utterances
    assert all(0.3 < pool.duration_s(index) <= LONGEST_S for index in range(len(pool)))
    texts = Counter(pool[index].text for index in range(PLAN.per_shard))
    assert max(texts.values()) <= 2


def test_a_whole_shard_is_left_alone(pool_folder: Path) -> None:
    path = pool_folder / "00000.npy"
    before = path.stat().st_mtime_ns
    make_shard((pool_folder, PLAN, 0))
    assert path.stat().st_mtime_ns == before


def test_a_shard_without_its_list_is_made_again(pool_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "00000.npy").write_bytes(b"half")
    make_shard((tmp_path, PLAN, 0))
    made, expected = np.load(tmp_path / "00000.npy"), np.load(pool_folder / "00000.npy")
    assert len(made) == pytest.approx(len(expected), rel=0.01)
    assert [entry["text"] for entry in json.loads((tmp_path / "00000.json").read_text())] == [
        entry["text"] for entry in json.loads((pool_folder / "00000.json").read_text())
    ]


def test_a_shard_that_nobody_makes_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    manifest = {"utterances": 5, "seed": 1, "split": "train", "voices": "train", "per_shard": 5}
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(TimeoutError, match="speech-pool"):
        Pool(tmp_path, patience_s=0.0)[0]


def test_a_vocabulary_survives_its_file(vocabulary: Vocabulary, tmp_path: Path) -> None:
    vocabulary.save(tmp_path / "v.json")
    again = load_vocabulary(tmp_path / "v.json")
    assert again == vocabulary
    assert again.full == vocabulary.full


def test_compact_ids_lead_back_to_the_words() -> None:
    text = "Usa losartana 50 mg de 12 em 12 horas."
    small = vocabulary_of([text])
    tokens = small.encode(text)
    assert tokens is not None
    assert whisper_tokenizer().decode([small.full[token] for token in tokens]) == " " + text
    assert small.encode("Orquídea roxa.") is None


def test_specials_and_times_have_their_places(vocabulary: Vocabulary) -> None:
    tokenizer = whisper_tokenizer()
    assert vocabulary.full[vocabulary.special("eot")] == tokenizer.eot
    assert vocabulary.full[vocabulary.special("pt")] == tokenizer.to_language_token("pt")
    assert vocabulary.full[vocabulary.time(0.0)] == tokenizer.timestamp_begin
    assert vocabulary.full[vocabulary.time(1.3)] == tokenizer.timestamp_begin + 65
    assert vocabulary.full[vocabulary.time(99.0)] == tokenizer.timestamp_begin + 500
    assert len(set(vocabulary.full)) == len(vocabulary.full) < FULL_SIZE
    assert vocabulary.unused == len(vocabulary.full)


def test_numerals_share_digits_and_times_share_waves(vocabulary: Vocabulary) -> None:
    features, free = vocabulary.features()
    assert features.shape[0] == len(free) == len(vocabulary.full) + 1
    numerals = {number: vocabulary.compact[full] for full, (spaced, number) in vocabulary.numerals.items() if spaced}
    shared = features[numerals[120]] * features[numerals[125]]
    assert shared.sum() == features[numerals[120]].sum() - 1
    assert not np.array_equal(features[numerals[120]], features[numerals[125]])
    near, far = vocabulary.time(2.1), vocabulary.time(9.0)
    here = features[vocabulary.time(2.0)]
    assert np.abs(features[near] - here).sum() < np.abs(features[far] - here).sum()
    assert free[near] == 0.0
    assert free[0] == 1.0
