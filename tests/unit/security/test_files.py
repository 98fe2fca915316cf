from __future__ import annotations

import multiprocessing
import os
import stat
from pathlib import Path

import pytest

from appliance.security import files


def test_secrets_are_for_the_owner_only_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        folder = tmp_path / "a" / "secrets"
        files.make_private_folder(folder)
        files.write_file(folder / "key", b"secret")
    finally:
        os.umask(before)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "key").stat().st_mode) == 0o600


def test_a_loose_folder_is_tightened(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    files.make_private_folder(tmp_path)
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o700


def test_replacing_is_all_or_nothing(tmp_path: Path) -> None:
    path = tmp_path / "key"
    files.write_file(path, b"old")
    files.write_file(path, b"new")
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


def test_a_failed_write_leaves_the_old_file_and_no_rubbish(tmp_path: Path) -> None:
    (tmp_path / "key").mkdir()
    (tmp_path / "key" / "inside").write_bytes(b"old")
    with pytest.raises(OSError, match=r"."):
        files.write_file(tmp_path / "key", b"new")
    assert [path.name for path in tmp_path.iterdir()] == ["key"]


def test_what_an_interruption_left_is_removed(tmp_path: Path) -> None:
    (tmp_path / ".half-written-root.key-00").write_bytes(b"-----")
    (tmp_path / "root.key").write_bytes(b"whole")
    assert files.remove_half_written(tmp_path) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["root.key"]


def _count_up(folder: Path) -> None:
    for _ in range(50):
        with files.exclusive(folder):
            counter = folder / "counter"
            counter.write_text(str(int(counter.read_text()) + 1))


def test_processes_take_turns(tmp_path: Path) -> None:
    (tmp_path / "counter").write_text("0")
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_count_up, args=(tmp_path,)) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert (tmp_path / "counter").read_text() == "100"
