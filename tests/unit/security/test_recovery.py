"""The master key on paper: enough pages give it back, fewer or wrong ones are told."""

from __future__ import annotations

import itertools

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.plugin_api.errors import ProntuarioError
from appliance.security.recovery import Share, combine, from_words, seal, split, to_rows, unseal

MASTER = bytes(range(32))


def text_of(share: Share) -> str:
    return " ".join(word for row in to_rows(share) for word in row)


@settings(max_examples=12)
@given(st.binary(min_size=32, max_size=32), st.integers(2, 4), st.integers(0, 3))
def test_any_enough_pages_give_the_key_back(master: bytes, needed: int, more: int) -> None:
    shares = split(master, needed, needed + more)
    for chosen in itertools.islice(itertools.permutations(shares, needed), 4):
        assert combine(from_words(text_of(share)) for share in chosen) == master
    assert combine(shares) == master, "more than needed"
    assert split(master, needed, needed + more) == shares, "printing again gives the same pages"


def test_a_known_set_stays_readable_for_years() -> None:
    """Pages lie in safes: what was printed by an earlier version must be read by every later one."""
    first = (
        "bahaf bahag surun tahum ropul pogoz fajal lohum domon kihas mihar zavob hikog paroh lozul kirun kopul palig ramaf mogig "
        "nojir fopol pomar gavof pizah"
    )
    third = (
        "bahaf basag surun tahum mojih vasom kizaz mataf fanuj faloz mibaz dorot tizoh vahon tirum momuf noroh tadah vahom dubiz "
        "magiz horah tuhol kolag fisuv"
    )
    assert combine([from_words(first), from_words(third)]) == MASTER


@pytest.mark.parametrize("needed", [2, 3])
def test_one_page_too_few_is_refused_and_a_guessed_one_is_noticed(needed: int) -> None:
    shares = split(MASTER, needed, 3)
    with pytest.raises(ProntuarioError, match=r"recovery\.shares"):
        combine(shares[: needed - 1])
    missing = shares[needed - 1]
    found = set()
    for guess in (*range(0, 256, 37), missing.value[0]):
        whole = msgspec.structs.replace(missing, value=bytes([guess]) + missing.value[1:])
        try:
            found.add(combine([*shares[: needed - 1], whole])[0])
        except ProntuarioError:
            found.add(-1)
    assert found == {-1, MASTER[0]}, "every wrong one is noticed"


def test_the_same_page_twice_is_one_page() -> None:
    first = split(MASTER, 2, 3)[0]
    with pytest.raises(ProntuarioError, match="too few"):
        combine([first, first])


def test_pages_of_two_sets_are_told_apart() -> None:
    other = split(bytes(32), 2, 3)
    with pytest.raises(ProntuarioError, match="different sets"):
        combine([split(MASTER, 2, 3)[0], other[1]])


@settings(max_examples=25)
@given(st.integers(0, 124), st.sampled_from("bdfghjklmnprstvzaiou"))
def test_a_slip_is_told_with_its_row(place: int, letter: str) -> None:
    text = text_of(split(MASTER, 2, 3)[1])
    at = place + place // 5
    slipped = text[:at] + letter + text[at + 1 :]
    if slipped == text:
        return
    with pytest.raises(ProntuarioError, match=f"row {place // 25 + 1}"):
        from_words(slipped)


def test_words_are_read_however_they_were_typed() -> None:
    share = split(MASTER, 2, 3)[2]
    rows = to_rows(share)
    assert [len(row) for row in rows] == [5] * 5
    assert from_words("\n".join("-".join(row).upper() for row in rows)) == share


@pytest.mark.parametrize("text", ["", "babab", "ç" * 40, "babab " * 25])
def test_what_is_no_page_is_refused(text: str) -> None:
    with pytest.raises(ProntuarioError, match=r"recovery\.words"):
        from_words(text)


def test_a_share_does_not_show_its_value() -> None:
    share = split(MASTER, 2, 3)[0]
    assert share.value.hex() not in repr(share)
    assert "value" not in repr(share)


@pytest.mark.parametrize(("needed", "holders"), [(1, 3), (4, 3), (2, 10), (0, 0)])
def test_a_set_that_protects_nothing_is_not_made(needed: int, holders: int) -> None:
    with pytest.raises(ValueError, match="shares"):
        split(MASTER, needed, holders)


def test_the_sealed_file_opens_with_its_key_and_no_other() -> None:
    files = {"root.key": b"\x00secret", "prontuario.toml": b"[node]\n"}
    sealed = seal(MASTER, files)
    assert unseal(MASTER, sealed) == files
    assert b"secret" not in sealed
    for key, content in ((bytes(32), sealed), (MASTER, sealed[:-8] + b"AAAAAAA\n"), (MASTER, b"?")):
        with pytest.raises(ProntuarioError, match=r"recovery\.seal"):
            unseal(key, content)
