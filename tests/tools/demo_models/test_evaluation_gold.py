"""Gold files: made from seeds, written, read back, refused when they are wrong; load that can be resumed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import soundfile

from appliance.daemon.demo.compare import compare_facts, word_error_rate
from appliance.daemon.demo.gold import SUFFIX, GoldError, read_gold, write_gold
from tools.demo_models.evaluation.gold import gold_of, hard_gold, held_out_consult
from tools.demo_models.evaluation.load import write_load, write_pairs
from tools.demo_models.evaluation.notes_report import read_folder
from tools.demo_models.evaluation.samples import SAMPLE_FOLDER, SAMPLES
from tools.demo_models.grammar import is_held_out
from tools.demo_models.grammar.hard import HARDNESSES
from tools.demo_models.speech.espeak import EspeakMissingError, speaker


def test_the_same_seed_gives_the_same_gold_and_another_seed_another() -> None:
    first, again, other = (gold_of(held_out_consult(seed), seed) for seed in ("a", "a", "b"))
    assert first == again
    assert first.text != other.text
    assert sum(is_held_out(line.text) for line in first.transcript) > len(first.transcript) / 2


def test_every_line_is_told_and_every_fact_cites_its_line() -> None:
    gold = gold_of(held_out_consult("c"), "c")
    told = {number for part in gold.note.sections for said in part.sentences for number in said.segments}
    assert told == set(gold.lines)
    assert {number for fact in gold.note.facts for number in fact.segments} <= told
    assert [part.code for part in gold.note.sections] == ["S", "O", "A", "P"]


@pytest.mark.parametrize("hardness", HARDNESSES)
def test_hard_consults_have_facts_only_where_something_was_said(hardness: str) -> None:
    gold = hard_gold("d", hardness)  # type: ignore[arg-type]
    cited = {number for fact in gold.note.facts for number in fact.segments}
    assert cited
    assert not [gold.lines[number] for number in cited if gold.lines[number].endswith("?")]
    if hardness == "number_words":
        assert not any(letter.isdigit() for letter in gold.text.replace("tipo 2", ""))


def test_a_gold_file_comes_back_as_it_was_written(tmp_path: Path) -> None:
    gold = gold_of(held_out_consult("e"), "e", [(1.0, 2.5)] * len(held_out_consult("e").sentences), voice="pt-br+f4")
    write_gold(tmp_path / f"one{SUFFIX}", gold)
    assert read_gold(tmp_path / f"one{SUFFIX}") == gold
    assert read_folder(tmp_path) == [gold]


def test_a_gold_file_that_is_wrong_is_refused_with_its_name(tmp_path: Path) -> None:
    path = tmp_path / f"bad{SUFFIX}"
    for text in ("", "{}", "[1]", '{"format": "other/1", "transcript": [], "note": {"sections": [], "facts": []}}'):
        path.write_text(text)
        with pytest.raises(GoldError, match=r"bad\.gold\.json"):
            read_gold(path)
    good = gold_of(held_out_consult("f"), "f")
    write_gold(path, good)
    changed = json.loads(path.read_text())
    changed["note"]["facts"][0]["segments"] = [99]
    path.write_text(json.dumps(changed))
    with pytest.raises(GoldError, match="99"):
        read_gold(path)
    with pytest.raises(GoldError, match="no file"):
        read_folder(tmp_path / "empty")


def test_pairs_are_all_different_and_made_once(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    assert write_pairs(tmp_path, 12, "seed", lambda done, of: seen.append((done, of))) == 12
    assert seen[-1] == (12, 12)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    assert write_pairs(tmp_path, 13, "seed") == 1
    assert all(path.stat().st_mtime_ns == when for path, when in before.items())
    assert len({gold.text for gold in read_folder(tmp_path)}) == 13


def test_load_goes_on_where_it_was_interrupted(tmp_path: Path) -> None:
    try:
        speaker()
    except EspeakMissingError as error:
        pytest.skip(str(error))
    assert write_load(tmp_path, 2, "seed") == 2
    first, kept = read_gold(tmp_path / f"consult-0001{SUFFIX}"), (tmp_path / "consult-0000.flac").stat().st_mtime_ns
    (tmp_path / f"consult-0001{SUFFIX}").unlink()  # as if it had been stopped before the last file
    assert write_load(tmp_path, 2, "seed") == 1
    assert (tmp_path / "consult-0000.flac").stat().st_mtime_ns == kept
    gold = read_gold(tmp_path / f"consult-0001{SUFFIX}")
    assert (gold.lines, gold.note, gold.made) == (first.lines, first.note, first.made)
    audio = soundfile.info(tmp_path / "consult-0001.flac")
    assert (audio.samplerate, audio.channels) == (16_000, 1)
    times = [time for line in gold.transcript for time in (line.start, line.end)]
    assert times == sorted(times)
    assert times[-1] < audio.duration


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.name)
def test_the_product_s_samples_are_held_out_data_of_their_seeds(sample: object) -> None:
    from tools.demo_models.evaluation.samples import Sample

    assert isinstance(sample, Sample)
    gold = read_gold(SAMPLE_FOLDER / f"{sample.name}{SUFFIX}")
    made = gold_of(held_out_consult(sample.seed), sample.seed)
    assert gold.made["seed"] == sample.seed
    assert gold.made["voice"] == sample.delivery.voice
    assert gold.lines == made.lines
    assert gold.note == made.note
    assert sum(is_held_out(line.text) for line in gold.transcript) >= len(gold.transcript) - 1
    written = (SAMPLE_FOLDER / f"{sample.name}.txt").read_text(encoding="utf-8").splitlines()
    assert written == list(gold.lines.values())


def test_the_two_samples_differ_in_words_and_voice() -> None:
    first, second = (read_gold(SAMPLE_FOLDER / f"{sample.name}{SUFFIX}") for sample in SAMPLES)
    assert first.made["voice"] != second.made["voice"]
    assert not set(first.lines.values()) & set(second.lines.values())


def test_words_and_facts_are_compared() -> None:
    assert word_error_rate("Nega febre, 38,5 graus.", "nega febre 38,5 graus") == 0.0
    assert word_error_rate("um dois três quatro", "um dois quatro") == 0.25
    facts = gold_of(held_out_consult("g"), "g").note.facts
    assert compare_facts(facts, facts).equal
    fewer = compare_facts(facts, facts[1:])
    assert (fewer.right, len(fewer.missing), fewer.extra, fewer.equal) == (len(facts) - 1, 1, (), False)
    more = compare_facts(facts[1:], facts)
    assert (more.missing, len(more.extra), more.equal) == ((), 1, False)
