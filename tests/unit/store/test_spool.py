from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.store.spool import KEEP_S, thin

NOW = 2_000_000_000.0
OLD = NOW - 30 * 24 * 3600


def put(spool: Path, level: int, first: int, last: int, age: float = OLD) -> str:
    folder = spool / "ltx" / str(level)
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{first:016x}-{last:016x}.ltx"
    file.touch()
    os.utime(file, (age, age))
    return file.name


def names(spool: Path, level: int) -> list[str]:
    return sorted(path.name for path in (spool / "ltx" / str(level)).iterdir())


def test_old_small_steps_that_a_larger_one_covers_go(tmp_path: Path) -> None:
    for txid in range(1, 9):
        put(tmp_path, 1, txid, txid)
    newest = put(tmp_path, 1, 9, 9)
    large = put(tmp_path, 2, 1, 6)
    assert thin(tmp_path, now_s=NOW) == 6
    assert names(tmp_path, 1) == [f"{txid:016x}-{txid:016x}.ltx" for txid in (7, 8)] + [newest]
    assert names(tmp_path, 2) == [large]


def test_young_steps_stay(tmp_path: Path) -> None:
    put(tmp_path, 1, 1, 1, NOW - KEEP_S[1] - 1)
    young = put(tmp_path, 1, 2, 2, NOW - KEEP_S[1] + 1)
    newest = put(tmp_path, 1, 3, 3)
    put(tmp_path, 2, 1, 3)
    assert thin(tmp_path, now_s=NOW) == 1
    assert names(tmp_path, 1) == [young, newest]


def test_a_clock_far_back_deletes_nothing(tmp_path: Path) -> None:
    put(tmp_path, 1, 1, 1)
    put(tmp_path, 1, 2, 2)
    put(tmp_path, 2, 1, 2)
    assert thin(tmp_path, now_s=0.0) == 0


def test_level_0_snapshots_and_foreign_files_are_not_touched(tmp_path: Path) -> None:
    for level in (0, 3, 4, 9):
        put(tmp_path, level, 1, 1)
        put(tmp_path, level, 2, 2)
    put(tmp_path, 1, 1, 2)
    (tmp_path / "ltx" / "1" / "0000.tmp").touch()
    assert thin(tmp_path, now_s=NOW) == 0


def test_an_empty_spool_is_fine(tmp_path: Path) -> None:
    assert thin(tmp_path, now_s=NOW) == 0


@given(
    ones=st.lists(st.integers(1, 4), min_size=1, max_size=20),
    twos=st.integers(0, 20),
    threes=st.integers(0, 20),
)
def test_what_was_restorable_stays_restorable(
    tmp_path_factory: pytest.TempPathFactory, ones: list[int], twos: int, threes: int
) -> None:
    """Compact level 1 into random prefixes of levels 2 and 3: after thinning the union still covers every TXID."""
    spool = tmp_path_factory.mktemp("spool")
    ends = [sum(ones[: n + 1]) for n in range(len(ones))]
    begins = [1, *(end + 1 for end in ends[:-1])]
    for begin, end in zip(begins, ends, strict=True):
        put(spool, 1, begin, end)
    in_twos = min(twos, len(ends))
    for n in range(0, in_twos - in_twos % 2, 2):
        put(spool, 2, begins[n], ends[n + 1])
    in_threes = min(threes, in_twos) // 4 * 4
    for n in range(0, in_threes, 4):
        put(spool, 3, begins[n], ends[n + 3])
    thin(spool, now_s=NOW)
    covered: set[int] = set()
    for file in spool.glob("ltx/*/*.ltx"):
        first, last = (int(part, 16) for part in file.stem.split("-"))
        covered |= set(range(first, last + 1))
    assert covered == set(range(1, ends[-1] + 1))
