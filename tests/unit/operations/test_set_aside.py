"""What was set aside is told with its age and size, and goes only when a person names it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from appliance.config.model import Paths
from appliance.operations.set_aside import delete_aside, figures, list_aside
from appliance.plugin_api.errors import ProntuarioError

DAY = 86400.0
NOW_S = 1_790_000_000.0


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    made = Paths(tmp_path / "home")
    for name, size, age_days in (
        ("spool.failed-17", 1000, 3.0),
        ("set-aside/00000004", 50, 40.0),
        ("replica/00000007.failed-9", 7, 0.5),
        ("replica/00000008", 9, 0.1),
        ("spool", 9, 0.0),
    ):
        folder = made.home / "data" / name
        (folder / "deep").mkdir(parents=True)
        (folder / "deep" / "file").write_bytes(b"x" * size)
        os.utime(folder, (NOW_S - age_days * DAY,) * 2)
    return made


def test_everything_set_aside_is_told_oldest_first_and_nothing_that_is_in_use(paths: Paths) -> None:
    found = list_aside(paths, NOW_S)
    assert [(one.name, one.kind, one.bytes, one.age_days) for one in found] == [
        ("set-aside/00000004", "record", 50, 40.0),
        ("spool.failed-17", "spool", 1000, 3.0),
        ("replica/00000007.failed-9", "spool", 7, 0.5),
    ]
    assert figures(found) == {"folders": 3, "bytes": 1057, "oldest_days": 40.0}
    assert figures([]) == {"folders": 0, "bytes": 0, "oldest_days": 0.0}


def test_a_person_deletes_one_by_its_name(paths: Paths) -> None:
    assert delete_aside(paths, "spool.failed-17") == 1000
    assert [one.name for one in list_aside(paths, NOW_S)] == ["set-aside/00000004", "replica/00000007.failed-9"]


@pytest.mark.parametrize("name", ["spool", "replica/00000008", "../home/data/spool", "set-aside/../spool", "", "."])
def test_nothing_else_can_be_named(paths: Paths, name: str) -> None:
    with pytest.raises(ProntuarioError, match="not_found"):
        delete_aside(paths, name)
    assert (paths.home / "data" / "spool" / "deep" / "file").exists()
