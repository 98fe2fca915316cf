"""What a folder of LTX files covers, and what of it may go."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from appliance.cluster.held_files import KEEP_COVERED_S, HeldFiles
from appliance.cluster.ltx import LtxFile, level_folder, listing

NOW_S = time.time()
OLD_S = NOW_S - KEEP_COVERED_S - 60


def write(folder: Path, *files: LtxFile, at_s: float = OLD_S) -> None:
    for file in files:
        level_folder(folder, file.level).mkdir(parents=True, exist_ok=True)
        file.path(folder).write_bytes(b"x")
        os.utime(file.path(folder), (at_s, at_s))


def single(*numbers: int) -> list[LtxFile]:
    return [LtxFile(number, number, 0) for number in numbers]


def numbers(folder: Path) -> list[int]:
    return sorted(file.first for file in listing(folder, (0,)))


def test_the_oldest_go_first_and_only_so_many_at_once(tmp_path: Path) -> None:
    write(tmp_path, *single(*range(1, 11)), LtxFile(1, 8, 1))
    held = HeldFiles(tmp_path)
    assert held.drop_covered(now_s=NOW_S, most=3) == 3
    assert numbers(tmp_path) == [4, 5, 6, 7, 8, 9, 10]
    assert [held.drop_covered(now_s=NOW_S, most=3) for _ in range(3)] == [3, 2, 0]
    assert numbers(tmp_path) == [9, 10]
    assert held.look() == held.reach == 10


def test_what_came_a_moment_ago_stays_for_whoever_follows(tmp_path: Path) -> None:
    write(tmp_path, *single(1, 2), LtxFile(1, 4, 1))
    write(tmp_path, *single(3, 4), at_s=NOW_S)
    assert HeldFiles(tmp_path).drop_covered(now_s=NOW_S) == 2
    assert numbers(tmp_path) == [3, 4]


def test_an_uncovered_file_at_the_beginning_keeps_no_other(tmp_path: Path) -> None:
    write(tmp_path, *single(1, 2, 3, 4, 5), LtxFile(3, 4, 1), LtxFile(1, 2, 2))
    held = HeldFiles(tmp_path)
    assert held.drop_covered(now_s=NOW_S) == 2
    assert numbers(tmp_path) == [1, 2, 5]
    assert held.reach == 5


@pytest.mark.parametrize("lost", [LtxFile(1, 4, 1), LtxFile(5, 5, 0)])
def test_a_file_that_somebody_took_away_meanwhile_is_noticed(tmp_path: Path, lost: LtxFile) -> None:
    write(tmp_path, *single(1, 2, 3, 4, 5, 6), LtxFile(1, 4, 1))
    held = HeldFiles(tmp_path)
    assert held.reach == 6
    time.sleep(0.01)  # a folder's time has the grain of the kernel's tick
    lost.path(tmp_path).unlink()
    dropped = held.drop_covered(now_s=NOW_S)
    assert dropped == (0 if lost.level else 4)
    assert held.look() == (6 if lost.level else 4)
    assert HeldFiles(tmp_path).reach == held.reach


def test_files_that_came_after_a_deletion_are_counted(tmp_path: Path) -> None:
    write(tmp_path, *single(1, 2, 3), LtxFile(1, 2, 1))
    held = HeldFiles(tmp_path)
    assert held.drop_covered(now_s=NOW_S) == 2
    new = LtxFile(4, 4, 0)
    write(tmp_path, new)
    held.expect(new)
    assert held.look() == 4
