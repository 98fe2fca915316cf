"""backup set-aside and schedule on the command line: nothing goes without a person typing its name."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from appliance.daemon.cli import main


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "home" / "data" / "spool.failed-17"
    folder.mkdir(parents=True)
    (folder / "file").write_bytes(b"x" * (1 << 20))
    return tmp_path / "home"


def run(home: Path, *words: str, typed: str | None = None) -> Result:
    return CliRunner().invoke(main, [*words, "--home", str(home)], input=typed)


def test_what_was_set_aside_is_listed_for_people_and_machines(home: Path) -> None:
    assert "spool.failed-17" in run(home, "backup", "set-aside").output
    (row,) = json.loads(run(home, "backup", "set-aside", "--json").output)
    assert (row["name"], row["bytes"]) == ("spool.failed-17", 1 << 20)


@pytest.mark.parametrize("typed", ["", "yes\n", "spool\n"])
def test_it_stays_unless_its_name_is_typed(home: Path, typed: str) -> None:
    assert run(home, "backup", "set-aside", "--delete", "spool.failed-17", typed=typed).exit_code != 0
    assert (home / "data" / "spool.failed-17" / "file").exists()


def test_a_person_deletes_it_by_typing_its_name(home: Path) -> None:
    done = run(home, "backup", "set-aside", "--delete", "spool.failed-17", typed="spool.failed-17\n")
    assert (done.exit_code, "Deleted 1.0 MiB." in done.output) == (0, True)
    assert run(home, "backup", "set-aside").output == "Nothing was set aside.\n"
    again = run(home, "backup", "set-aside", "--delete", "spool.failed-17", typed="spool.failed-17\n")
    assert again.exit_code == 1


@pytest.mark.parametrize("words", [("schedule", "list"), ("schedule", "run", "set-aside"), ("backup", "orphans")])
def test_without_a_running_node_it_says_so(home: Path, words: tuple[str, ...]) -> None:
    answer = run(home, *words)
    assert (answer.exit_code, "No node is running" in answer.output) == (6, True)


def test_who_may_not_read_the_home_is_told_to_use_sudo(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise PermissionError(13, "Permission denied", "/the/home/data")

    monkeypatch.setattr("appliance.operations.set_aside.list_aside", refused)
    answer = run(home, "backup", "set-aside")
    assert (answer.exit_code, "/the/home/data" in answer.output, "put sudo" in answer.output) == (1, True, True)


def test_a_pair_s_record_is_restored_from_its_newest_epoch(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is in the spool of a node that became a pair is from before the pair."""
    taken: list[Path] = []

    def restored(spool: Path, *_: object, **__: object) -> dict[str, int]:
        taken.append(spool)
        return {}

    monkeypatch.setattr("appliance.operations.backup.restore", restored)
    for folder in ("spool", "replica/00000002", "replica/00000010"):
        (home / "data" / folder).mkdir(parents=True)
    assert run(home, "backup", "restore", "--to", str(home / "new")).exit_code == 0
    assert taken == [home.resolve() / "data" / "replica" / "00000010"]
