from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from tools.demo_models.notes import tokenizer as tokenizers
from tools.demo_models.notes.batches import Place, batches
from tools.demo_models.notes.hearing import Manner
from tools.demo_models.notes.made_up import word
from tools.demo_models.notes.samples import chunks, sample


@pytest.fixture(scope="module")
def made() -> Tokenizer:
    return tokenizers.build(corpus=400)


def pieces(made: Tokenizer, text: str) -> list[str]:
    return [
        made.decode([number], skip_special_tokens=False) for number in made.encode(text, add_special_tokens=False).ids
    ]


def test_every_sample_comes_back_as_it_was(made: Tokenizer) -> None:
    rng = random.Random(2)
    for _ in range(60):
        for text, _ in chunks(sample(rng, Manner()).turns):
            ids = made.encode(text, add_special_tokens=False).ids
            assert made.decode(ids, skip_special_tokens=False) == text


def test_text_outside_the_grammar_comes_back_too(made: Tokenizer) -> None:
    for text in ("ação “Ünï” 😀 中文", 'aspas "dentro" {de} [12345] \\ /', "\n\n  dois  espaços\t"):
        assert made.decode(made.encode(text, add_special_tokens=False).ids, skip_special_tokens=False) == text


def test_a_word_has_the_same_pieces_behind_a_space_and_behind_a_quotation_mark(made: Tokenizer) -> None:
    rng = random.Random(3)
    for _ in range(300):
        name = word(rng)
        spaced = pieces(made, f"de {name}")[1:]
        quoted = pieces(made, f'"{name}')[1:]
        joined = [piece for piece in (part.removeprefix(" ") for part in spaced) if piece]
        assert joined == quoted


def test_scaffolding_and_segment_marks_are_single_pieces(made: Tokenizer) -> None:
    assert "\n[3] " in pieces(made, "Transcrição:\n[3] Nega febre.")
    assert '","segments":[' in "".join(pieces(made, 'febre.","segments":[3]}'))
    assert pieces(made, '","value":null,"negated":false,"laterality":null,"segments":[')[-1].endswith('"segments":[')


def test_special_tokens_have_the_places_that_the_configuration_names(made: Tokenizer) -> None:
    assert [made.token_to_id(token) for token in tokenizers.SPECIAL] == list(range(6))


def test_a_folder_gets_what_mlx_lm_reads(made: Tokenizer, tmp_path: Path) -> None:
    tokenizers.save(made, tmp_path)
    told = json.loads((tmp_path / "tokenizer_config.json").read_text())
    assert told["eos_token"] == "<end_of_turn>"
    assert (tmp_path / "chat_template.jinja").read_text().startswith("{{ bos_token }}")
    assert Tokenizer.from_file(str(tmp_path / "tokenizer.json")).get_vocab_size() == made.get_vocab_size()


def test_batches_go_on_where_they_were_left(made: Tokenizer) -> None:
    stream = batches(made, 7, 1, Place())
    first = [next(stream) for _ in range(8)]
    again = batches(made, 7, 1, first[3][1])
    assert [next(again)[0] for _ in range(4)] == [batch for batch, _ in first[4:]]


def test_a_batch_is_a_rectangle_and_only_answers_are_learnt(made: Tokenizer) -> None:
    stream = batches(made, 8, 0, Place())
    for _ in range(5):
        batch, _ = next(stream)
        width = len(batch.ids[0])
        assert width % 8 == 0
        assert {len(row) for row in (*batch.ids, *batch.written)} == {width}
        for ids, own in zip(batch.ids, batch.written, strict=True):
            assert 0 < sum(own) < width
            assert all(number != 0 for number, learnt in zip(ids, own, strict=True) if learnt)
