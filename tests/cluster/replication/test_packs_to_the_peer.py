"""A model pack on its way to the other node: whole and as signed, or not usable there; never half of it under its name."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from appliance.cluster.file_sync import FileReceiver, send_folder
from appliance.operations.packs.intake import Intake
from appliance.operations.packs.shelf import Shelf
from appliance.operations.packs.travelling import as_signed
from appliance.plugin_api.errors import ProntuarioError
from tests.cluster.replication.conftest import Wiring
from tests.fakes import packs


@pytest.fixture
def here(tmp_path: Path) -> Shelf:
    """The primary's shelf, with ``tiny-1`` active."""
    made = Shelf(tmp_path / "a" / "models", packs.write_trusted(tmp_path / "a" / "trust"))
    packs.make(tmp_path / "source", side=600)
    Intake(made, spare_bytes=0).take_in(tmp_path / "source")
    made.point("chat_model", "tiny-1")
    return made


@pytest.fixture
def there(tmp_path: Path) -> Shelf:
    """The standby's, which trusts the same maker by its own file."""
    return Shelf(tmp_path / "b" / "models", packs.write_trusted(tmp_path / "b" / "trust"))


async def test_the_pack_arrives_as_signed_and_what_serves_there_is_the_peer_s_own_affair(
    here: Shelf, there: Shelf, r_wire: Wiring
) -> None:
    wire = await r_wire(FileReceiver({"models": there.models}, lambda: 1).handlers())
    assert await send_folder(wire.link, 1, "models", here.models) == len(packs.KINDS) + 2
    assert there.verify("tiny-1") == here.verify("tiny-1")
    assert (there.active("chat_model"), there.memory("chat_model").newest) == ("", {})
    there.point("chat_model", "tiny-1")
    assert await send_folder(wire.link, 1, "models", here.models) == 0
    assert (there.active("chat_model"), there.verify("tiny-1").version) == ("tiny-1", 1)


async def test_a_half_copied_import_does_not_travel(here: Shelf, there: Shelf, r_wire: Wiring) -> None:
    left = here.models / "chat_model" / ".incoming-half"
    left.mkdir()
    (left / "config.json").write_text("{}")
    wire = await r_wire(FileReceiver({"models": there.models}, lambda: 1).handlers())
    await send_folder(wire.link, 1, "models", here.models)
    assert [row.pack for row in there.rows()] == ["tiny-1"]


async def test_what_rotted_at_the_sender_is_found_where_it_arrives(here: Shelf, there: Shelf, r_wire: Wiring) -> None:
    path = here.find("tiny-1") / packs.KINDS[1]
    path.write_bytes(path.read_bytes()[:-1] + b"\0")
    wire = await r_wire(FileReceiver({"models": there.models}, lambda: 1).handlers())
    await send_folder(wire.link, 1, "models", here.models)
    with pytest.raises(ProntuarioError, match=r"pack\.altered"):
        there.verify("tiny-1")


async def test_what_rotted_at_the_sender_does_not_replace_the_good_copy(
    here: Shelf, there: Shelf, r_wire: Wiring
) -> None:
    wire = await r_wire(FileReceiver({"models": there.models}, lambda: 1).handlers())
    await send_folder(wire.link, 1, "models", here.models)
    rotten, broken = here.find("tiny-1") / packs.KINDS[1], there.find("tiny-1") / packs.KINDS[2]
    rotten.write_bytes(rotten.read_bytes()[:-1] + b"\0")
    broken.write_bytes(b"broken")
    assert await send_folder(wire.link, 1, "models", here.models, choose=partial(as_signed, here)) == 1
    assert there.verify("tiny-1").version == 1  # and what was broken there is repaired


async def test_a_peer_that_does_not_trust_the_maker_does_not_use_it(
    tmp_path: Path, here: Shelf, r_wire: Wiring
) -> None:
    stranger = Shelf(tmp_path / "b" / "models", packs.write_trusted(tmp_path / "b" / "trust", packs.STRANGER))
    wire = await r_wire(FileReceiver({"models": stranger.models}, lambda: 1).handlers())
    await send_folder(wire.link, 1, "models", here.models)
    assert [row.trouble for row in stranger.rows()] == ["pack.untrusted"]
