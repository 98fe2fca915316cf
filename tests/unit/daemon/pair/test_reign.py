"""Whose record is it: durable before the first write, and gone from its place only as a whole."""

from __future__ import annotations

from pathlib import Path

import pytest

from appliance.config import Config, Paths
from appliance.config.model import Store
from appliance.daemon.pair.reign import Reign
from appliance.store.database import Database

STORE = Store(litestream=False)


async def write_record(path: Path, word: str) -> None:
    async with await Database.open(path, STORE) as database:
        await database.write(lambda tx: tx.execute("CREATE TABLE IF NOT EXISTS word (word TEXT)"))
        await database.write(lambda tx: tx.execute("INSERT INTO word VALUES (?)", (word,)))


async def words(path: Path) -> list[str]:
    async with await Database.open(path, Config().store) as database:
        return [str(row[0]) for row in await database.read(lambda q: q.all("SELECT word FROM word"))]


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    paths = Paths(tmp_path / "home")
    paths.database.parent.mkdir(parents=True)
    return paths


async def test_a_new_home_has_none_a_lone_node_s_is_of_epoch_0(paths: Paths) -> None:
    assert Reign(paths).epoch is None
    await write_record(paths.database, "one")
    assert Reign(paths).epoch == 0


async def test_the_epoch_is_known_after_any_crash(paths: Paths) -> None:
    await write_record(paths.database, "one")
    Reign(paths).begin(7)
    assert Reign(paths).epoch == 7


async def test_setting_aside_keeps_every_byte_apart_and_may_be_cut_short(paths: Paths) -> None:
    await write_record(paths.database, "divergent")
    reign = Reign(paths)
    reign.begin(3)
    half_moved = reign.aside_folder(3)
    half_moved.mkdir(parents=True)
    paths.database.rename(half_moved / paths.database.name)  # a crash after the first file
    aside = Reign(paths).set_aside()
    assert aside == half_moved / paths.database.name
    assert await words(aside) == ["divergent"]
    assert Reign(paths).epoch is None
    assert Reign(paths).set_aside() is None
    assert not paths.database.exists()


async def test_a_warm_copy_becomes_the_record_but_never_over_another(paths: Paths, tmp_path: Path) -> None:
    copy = tmp_path / "home" / "warm" / "copy.sqlite"
    copy.parent.mkdir()
    await write_record(copy, "copied")
    reign = Reign(paths)
    reign.adopt(copy, 5)
    assert Reign(paths).epoch == 5
    assert await words(paths.database) == ["copied"]
    assert not copy.exists()
    await write_record(copy, "again")
    with pytest.raises(FileExistsError):
        reign.adopt(copy, 6)
    assert await words(paths.database) == ["copied"]
