"""The hospital's words: versions that nobody overwrites unseen, and their place in a dictation's hint."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from appliance.care import hospital_words
from appliance.care.hospital_words import HospitalWords
from appliance.care.vocabulary import MOST_CHARACTERS, MOST_COMMON, vocabulary
from appliance.plugin_api.errors import ProntuarioError
from appliance.plugin_api.vocabulary import LONGEST_TERM, MOST_TERMS
from tests.unit.care.conftest import Ward
from tests.unit.care.test_vocabulary import HINT, drug, keep, with_record

NOW = "2026-01-02T03:04:05.000Z"
WORDS = ("Xarelto", "UTI neonatal", "doutora Iracema")


async def kept(ward: Ward, words: Sequence[str], seen: int | None) -> HospitalWords:
    return await ward.store.write(lambda tx: hospital_words.keep(tx, words, seen=seen, who="ti", now=NOW))


async def told(ward: Ward, *of_model: str) -> str:
    return await ward.store.read(lambda q: vocabulary(q, ward.patient, ward.doctor.user_id, of_model))


async def test_a_new_list_takes_the_place_of_the_old_and_all_versions_stay(still_ward: Ward) -> None:
    assert await still_ward.store.read(hospital_words.current) == HospitalWords()
    first = await kept(still_ward, [" Xarelto", "UTI  neonatal", "xarelto"], 0)
    assert first == HospitalWords(("Xarelto", "UTI neonatal"), 1, "ti", NOW)
    assert (await kept(still_ward, [], 1)).words == ()
    rows = await still_ward.store.read(lambda q: q.all("SELECT version, words FROM care_hospital_words"))
    assert [tuple(row) for row in rows] == [(1, '["Xarelto","UTI neonatal"]'), (2, "[]")]
    for sql in ("UPDATE care_hospital_words SET words = '[]'", "DELETE FROM care_hospital_words"):
        with pytest.raises(Exception, match="never"):
            await still_ward.store.write(lambda tx, sql=sql: tx.execute(sql))


@pytest.mark.parametrize("seen", [None, 0, 2, -1])
async def test_nobody_overwrites_what_they_have_not_seen(still_ward: Ward, seen: int | None) -> None:
    await kept(still_ward, WORDS, 0)
    with pytest.raises(ProntuarioError) as caught:
        await kept(still_ward, ["outra"], seen)
    assert (caught.value.kind.code, caught.value.details) == ("vocabulary.version_changed", {"version": 1})
    assert (await still_ward.store.read(hospital_words.current)).words == WORDS


@pytest.mark.parametrize(
    ("words", "field", "pt"),
    [
        (["boa", "x" * (LONGEST_TERM + 1)], "words[1]", "A palavra 2 não pode ser usada: mais de 60 letras."),
        (["boa", " "], "words[1]", "A palavra 2 não pode ser usada: não é uma palavra."),
        (["# nota"], "words[0]", "A palavra 1 não pode ser usada: não é uma palavra."),
        (["uma\noutra"], "words[0]", "A palavra 1 não pode ser usada: não é uma palavra."),
        (["a"] * (MOST_TERMS + 1), "words", f"A palavra {MOST_TERMS + 1} não pode ser usada: cabem {MOST_TERMS}."),
    ],
)
async def test_a_word_that_can_not_be_used_is_named(still_ward: Ward, words: list[str], field: str, pt: str) -> None:
    with pytest.raises(ProntuarioError) as caught:
        await kept(still_ward, words, 0)
    assert (caught.value.kind.code, caught.value.field) == ("vocabulary.invalid", field)
    assert caught.value.sentence("pt") == pt
    assert (await still_ward.store.read(hospital_words.current)).version == 0


async def test_the_hospitals_words_and_the_models_stand_before_the_patients(still_ward: Ward) -> None:
    await with_record(still_ward)
    assert await told(still_ward) == HINT
    await kept(still_ward, WORDS, 0)
    assert await told(still_ward, "nebulização", "XARELTO") == f"Termos: {', '.join(WORDS)}, nebulização. {HINT}"


async def test_they_are_told_to_whoever_may_read_nothing_of_the_record(still_ward: Ward) -> None:
    await kept(still_ward, WORDS, 0)
    hint = await still_ward.store.read(lambda q: vocabulary(q, still_ward.patient, "nobody"))
    assert hint == f"Termos: {', '.join(WORDS)}."


async def test_however_many_they_are_the_patients_own_words_stay(still_ward: Ward) -> None:
    await with_record(still_ward)
    await kept(still_ward, [f"palavra número {number}" for number in range(MOST_TERMS)], 0)
    hint = await told(still_ward)
    assert hint.endswith(f". {HINT}")
    assert len(hint) <= MOST_CHARACTERS
    words = hint.removesuffix(f". {HINT}").removeprefix("Termos: ").split(", ")
    assert words == [f"palavra número {number}" for number in range(len(words))]
    assert 5 < len(words) <= MOST_COMMON


async def test_a_long_record_leaves_no_room_for_them_and_no_trace_of_them(still_ward: Ward) -> None:
    for number in range(20):
        await keep(still_ward, drug(still_ward.patient, f"substância muito comprida número {number}"))
    without = await told(still_ward)
    await kept(still_ward, [f"termo bastante comprido {number}" for number in range(9)], 0)
    assert await told(still_ward) == without
