"""May this update come to this node? Version, way back through the schema (N-1), room."""

from __future__ import annotations

from pathlib import Path

import pytest
from pysqlite3 import dbapi2

from appliance.operations.updates.fitness import SPARE_BYTES, check_room, check_schema, check_version, free_bytes
from appliance.plugin_api.errors import ProntuarioError
from appliance.store.migrate import Migration, known_migrations, migrate
from tests.fakes.updates import KNOWN, NEW, OLD, manifest, schema

READABLE = Migration(3, "three", "-- readable-by: 2\nCREATE TABLE three (id);")
UNREADABLE = Migration(3, "three", "CREATE TABLE three (id);")


def code_of(work: object, *arguments: object, **named: object) -> str:
    with pytest.raises(ProntuarioError) as caught:
        work(*arguments, **named)  # type: ignore[operator]
    return caught.value.kind.code


def test_only_a_newer_version_comes() -> None:
    check_version(manifest(), OLD, "")
    check_version(manifest(), OLD, NEW)  # it was there, was taken back by a person, and comes again
    assert code_of(check_version, manifest(), NEW, "") == "update.older"
    assert code_of(check_version, manifest(), "1.2.0", "") == "update.older"
    assert code_of(check_version, manifest(), OLD, "1.2.0") == "update.older"
    assert code_of(check_version, manifest(version="1.1.0rc1", parts=()), NEW, "") == "update.older"


def test_a_version_in_between_is_asked_for() -> None:
    error = code_of(check_version, manifest(from_version="1.0.5"), OLD, "")
    assert error == "update.too_far"


def test_migrations_that_the_version_before_can_read_pass() -> None:
    check_schema(manifest(), KNOWN)
    check_schema(manifest(schema=schema(*KNOWN, READABLE)), KNOWN)


@pytest.mark.parametrize(
    "brought",
    [
        (*KNOWN, UNREADABLE),
        (*KNOWN, READABLE, Migration(4, "four", "-- readable-by: 3\nSELECT 1;")),
        (KNOWN[0],),
        (KNOWN[0], Migration(2, "two", "CREATE TABLE changed (id);")),
    ],
)
def test_a_schema_without_a_way_back_is_refused(brought: tuple[Migration, ...]) -> None:
    assert code_of(check_schema, manifest(schema=schema(*brought)), KNOWN) == "update.schema"


@pytest.mark.parametrize("third", [READABLE, UNREADABLE])
def test_the_rule_is_what_the_old_program_does_with_the_new_database(third: Migration) -> None:
    """The check says before the update what ``migrate`` of the version before would say after it."""
    connection = dbapi2.connect(":memory:", isolation_level=None)
    connection.row_factory = dbapi2.Row
    try:
        migrate([*KNOWN, third], connection)
        told = manifest(schema=schema(*KNOWN, third))
        if third is READABLE:
            check_schema(told, KNOWN)
            migrate(KNOWN, connection)
        else:
            assert code_of(check_schema, told, KNOWN) == "update.schema"
            assert code_of(migrate, KNOWN, connection) == "store.newer_database"
    finally:
        connection.close()


def test_this_program_s_own_migrations_can_be_told() -> None:
    known = known_migrations()
    check_schema(manifest(schema=schema(*known)), known)
    assert code_of(check_schema, manifest(schema=schema(*known[:-1])), known) == "update.schema"


def test_room_is_asked_for_before_anything_is_touched(tmp_path: Path) -> None:
    told = manifest(installed_bytes=100 << 20)
    at_home = sum(one.size for part in told.parts if part.kind != "package" for one in part.files)
    needed = told.size + 2 * told.installed_bytes + SPARE_BYTES + at_home
    program, home = tmp_path / "not" / "there" / "yet", tmp_path
    check_room(told, program, home, free=lambda _: needed)
    assert code_of(check_room, told, program, home, free=lambda _: needed - 1) == "update.no_room"
    assert not program.parent.parent.exists()
    assert free_bytes(program) > 0


def test_two_disks_are_asked_each_for_its_own(tmp_path: Path) -> None:
    other = Path("/proc")
    asked: list[Path] = []

    def plenty(folder: Path) -> int:
        asked.append(folder)
        return 1 << 50

    check_room(manifest(), tmp_path, other, free=plenty)
    assert asked == [tmp_path, other]
    assert (
        code_of(check_room, manifest(), tmp_path, other, free=lambda one: 0 if one == other else 1 << 50)
        == "update.no_room"
    )
