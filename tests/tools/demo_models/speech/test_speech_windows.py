from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import pytest

from tools.demo_models.speech.batches import IGNORED, BatchError, batches, collate
from tools.demo_models.speech.damage import DamageOdds
from tools.demo_models.speech.pool import Pool
from tools.demo_models.speech.vocabulary import Vocabulary, whisper_tokenizer
from tools.demo_models.speech.windows import Example, Window, plan_groups, render

NONE = DamageOdds(0, 0, 0)


@dataclass(frozen=True)
class Plan:
    windows: int = 2_000
    seed: int = 5
    positions: int = 2_000

    def progress(self, windows: int) -> float:
        return windows / self.windows


def written(vocabulary: Vocabulary, example: Example) -> str:
    kept = [vocabulary.full[token] for token in example.targets if token < len(vocabulary.text)]
    return str(whisper_tokenizer().decode(kept)).strip()


def test_a_plan_is_a_function_of_its_seed(pool: Pool) -> None:
    assert list(plan_groups(pool, Plan())) == list(plan_groups(pool, Plan()))
    assert list(plan_groups(pool, Plan(seed=6))) != list(plan_groups(pool, Plan()))


def test_all_windows_are_presented_in_groups_of_about_the_wanted_size(pool: Pool) -> None:
    groups = list(plan_groups(pool, Plan()))
    assert sum(len(group.windows) for group in groups) == 2_000
    padded = [len(g.windows) * (max(w.seconds for w in g.windows) + 0.8) * 50 for g in groups if not g.frames]
    assert max(padded) <= 2_000 * 1.05
    assert any(group.frames == 1_000 for group in groups)


def test_windows_of_several_sentences_become_more_from_the_middle(pool: Pool) -> None:
    groups = list(plan_groups(pool, Plan(windows=8_000)))

    def several(begin: float, end: float) -> float:
        windows = [w for g in groups if begin <= g.progress < end for w in g.windows if w.sentences]
        return sum(len(window.sentences) > 1 for window in windows) / len(windows)

    assert several(0.15, 0.5) == pytest.approx(0.1, abs=0.03)
    assert 0.14 <= several(0.5, 1.0) <= 0.21


def test_two_to_four_in_a_hundred_windows_are_without_speech(pool: Pool) -> None:
    windows = [window for group in plan_groups(pool, Plan(windows=8_000)) for window in group.windows]
    assert 0.02 <= sum(not window.sentences for window in windows) / len(windows) <= 0.04


def test_a_window_is_rendered_alike_by_its_seed(pool: Pool, vocabulary: Vocabulary) -> None:
    one, two = (render(pool, vocabulary, Window((3,), 99, 3.0), DamageOdds()) for _ in range(2))
    assert np.array_equal(one.mel, two.mel)
    assert one.targets == two.targets
    other = render(pool, vocabulary, Window((3,), 100, 3.0), DamageOdds())
    assert one.mel.shape != other.mel.shape or not np.array_equal(one.mel, other.mel)


def test_targets_say_what_is_said_and_begin_in_the_first_second(pool: Pool, vocabulary: Vocabulary) -> None:
    eot, bare = vocabulary.special("eot"), vocabulary.special("no_timestamps")
    timed = 0
    for seed in range(40):
        example = render(pool, vocabulary, Window((seed % len(pool),), seed, 3.0), NONE)
        assert written(vocabulary, example) == pool[seed % len(pool)].text
        assert example.targets[-1] == eot
        assert example.inputs[1:] == example.targets[:-1]
        assert len(example.spans) == len(example.targets) - example.first_span - 1
        if example.targets[2] != bare:
            timed += 1
            assert vocabulary.time(0.0) <= example.targets[2] <= vocabulary.time(1.0)
    assert 20 <= timed <= 39


def test_spans_rise_and_lie_inside_the_sound(pool: Pool, vocabulary: Vocabulary) -> None:
    example = render(pool, vocabulary, Window((1, 2), 7, 6.0), NONE)
    starts = [begin for begin, _ in example.spans]
    length_s = len(example.mel) / 100
    assert all(begin <= end for begin, end in example.spans)
    assert max(starts) < length_s
    text = [begin for begin, _ in example.spans[1:-1]]
    assert sum(later < earlier - 0.25 for earlier, later in itertools.pairwise(text)) == 0


def test_without_speech_the_answer_is_no_speech_and_the_end(pool: Pool, vocabulary: Vocabulary) -> None:
    example = render(pool, vocabulary, Window((), 3, 2.0), NONE)
    assert example.targets[0] == vocabulary.special("no_speech")
    assert example.targets[-2:] == [vocabulary.time(0.0), vocabulary.special("eot")]
    assert example.letters == []
    assert written(vocabulary, example) == ""


def test_batches_are_filled_with_zeros_and_guides_lie_on_the_sound(pool: Pool, vocabulary: Vocabulary) -> None:
    windows = (Window((0,), 1, 3.0), Window((), 2, 2.0), Window((4, 5), 3, 6.0))
    examples = [render(pool, vocabulary, window, NONE) for window in windows]
    batch = collate(examples, vocabulary, 1_000, 0.2)
    assert batch.mel.shape == (3, 1_000, 80)
    assert batch.guide.shape == (*batch.inputs.shape, 500)
    assert batch.spoken == [0, 2]
    for row, example in enumerate(examples):
        assert not batch.mel[row, len(example.mel) :].any()
        assert (batch.targets[row, len(example.targets) :] == IGNORED).all()
        assert not batch.guide[row, :, len(example.mel) // 2 + 12 :].any()
    assert not batch.guide[1].any()
    assert [token - 1 for token in batch.text[0]] == [t for t in examples[0].targets if t < len(vocabulary.text)]


def test_batches_come_in_the_order_of_their_groups(pool: Pool, vocabulary: Vocabulary) -> None:
    groups = list(plan_groups(pool, Plan(windows=400)))[:3]
    made = list(batches(pool, vocabulary, groups))
    assert [len(batch.inputs) for batch in made] == [len(group.windows) for group in groups]
    again = list(batches(pool, vocabulary, groups))
    assert all(np.array_equal(one.mel, two.mel) for one, two in zip(made, again, strict=True))


def test_an_error_in_the_making_reaches_the_trainer(pool: Pool, vocabulary: Vocabulary) -> None:
    (group, *_) = plan_groups(pool, Plan(windows=400))
    broken = type(group)((Window((10**9,), 1, 3.0),), 0, 0.0)
    with pytest.raises(BatchError):
        list(batches(pool, vocabulary, [broken]))
