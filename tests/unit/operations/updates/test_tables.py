"""Tables come and go back as they were; windows are what they say."""

from __future__ import annotations

from datetime import time
from pathlib import Path

import pytest

from appliance.operations.updates.tables import Tables, as_owner
from appliance.operations.updates.window import parse, within

NAME = "medical_images/label_sets/knee.toml"


@pytest.fixture
def table(tmp_path: Path) -> Path:
    return tmp_path / "data" / "plugins" / NAME


def test_a_new_table_goes_again(tmp_path: Path, table: Path) -> None:
    tables = Tables(tmp_path, "run")
    tables.place(NAME, b"new")
    assert table.read_bytes() == b"new"
    tables.put_back(NAME)
    assert not table.exists()
    tables.put_back(NAME)
    assert not table.exists()


def test_the_one_before_comes_back_however_often_the_new_one_was_placed(tmp_path: Path, table: Path) -> None:
    table.parent.mkdir(parents=True)
    table.write_bytes(b"the hospital's own")
    tables = Tables(tmp_path, "run")
    for _ in range(3):
        tables.place(NAME, b"new")
    assert table.read_bytes() == b"new"
    Tables(tmp_path, "run").put_back(NAME)
    assert table.read_bytes() == b"the hospital's own"


def test_a_table_that_was_never_placed_is_left_alone(tmp_path: Path, table: Path) -> None:
    table.parent.mkdir(parents=True)
    table.write_bytes(b"mine")
    Tables(tmp_path, "run").put_back(NAME)
    assert table.read_bytes() == b"mine"


def test_a_link_out_of_the_plugins_data_is_not_followed(tmp_path: Path) -> None:
    data = tmp_path / "data" / "plugins"
    data.mkdir(parents=True)
    (data / "medical_images").symlink_to(tmp_path)
    with pytest.raises(PermissionError):
        Tables(tmp_path, "run").place(NAME, b"new")


def test_files_belong_to_whom_the_home_belongs(tmp_path: Path, table: Path) -> None:
    with as_owner(tmp_path):
        Tables(tmp_path, "run").place(NAME, b"new")
    assert table.stat().st_uid == tmp_path.stat().st_uid
    assert table.parent.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("text", ["", "2-4", "02:00", "24:00-01:00", "02:60-03:00", "02:00-04:00 "])
def test_no_window(text: str) -> None:
    with pytest.raises(ValueError, match="window"):
        parse(text)


def test_inside_and_outside() -> None:
    assert [within("02:00-04:00", time(hour)) for hour in (1, 2, 3, 4)] == [False, True, True, False]
    assert [within("23:00-01:00", time(hour)) for hour in (22, 23, 0, 1)] == [False, True, True, False]
