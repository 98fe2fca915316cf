"""Which pack may follow which, with a host that finds nothing wrong; real engines under load: tests/plugins/host/test_packs.py."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from appliance.operations.packs.activation import Activation
from appliance.operations.packs.intake import Intake
from appliance.operations.packs.manifest import MANIFEST_NAME
from appliance.operations.packs.shelf import Shelf
from appliance.plugin_api.errors import ProntuarioError
from tests.fakes import packs


class Content:
    """Stands for a ``PluginHost`` to which every model is right."""

    def __init__(self) -> None:
        self.uses = 0

    async def try_models(self, capability: str, models_dir: Path) -> list[str]:
        return [f"{capability} of {(models_dir / capability / 'active').resolve().name}"]

    async def drop_models(self, tried: Sequence[str]) -> None:
        raise AssertionError(tried)

    def use_models(self, tried: Sequence[str]) -> None:
        self.uses += len(tried)


@pytest.fixture
def host() -> Content:
    return Content()


@pytest.fixture
def desk(shelf: Shelf, host: Content) -> Activation:
    return Activation(shelf, host)  # type: ignore[arg-type]


def damage(pack: Path) -> None:
    (pack / MANIFEST_NAME).write_bytes(b"{}")


@pytest.mark.parametrize("harm", [damage, shutil.rmtree], ids=["damaged", "gone"])
async def test_a_pack_that_was_harmed_while_it_serves_gives_way_to_the_next(
    shelf: Shelf, desk: Activation, host: Content, source: Path, harm: Callable[[Path], None]
) -> None:
    Intake(shelf, spare_bytes=0).take_in(source)
    harm(shelf.find("tiny-1"))
    assert (await desk.activate("tiny-2")).before == "tiny-1"
    assert (shelf.active("chat_model"), host.uses) == ("tiny-2", 1)


async def test_an_older_pack_is_not_activated_although_the_newer_one_is_damaged(
    shelf: Shelf, desk: Activation, host: Content, source: Path
) -> None:
    Intake(shelf, spare_bytes=0).take_in(source)
    await desk.activate("tiny-2")
    damage(shelf.find("tiny-2"))
    with pytest.raises(ProntuarioError, match=r"pack\.older"):
        await desk.activate("tiny-1")
    assert (await desk.rollback("chat_model")).pack == "tiny-1"
    assert host.uses == 2


async def test_a_pack_of_another_name_follows_whatever_its_version(
    tmp_path: Path, shelf: Shelf, desk: Activation, source: Path
) -> None:
    Intake(shelf, spare_bytes=0).take_in(source)
    await desk.activate("tiny-2")
    packs.make(tmp_path / "other", name="tiny-two", fill=b"\x55")
    Intake(shelf, spare_bytes=0).take_in(tmp_path / "other")
    assert (await desk.activate("tiny-two-1")).before == "tiny-2"


async def test_there_is_no_going_back_to_what_serves(shelf: Shelf, desk: Activation, source: Path) -> None:
    """A power cut between the note of what served and the link leaves both the same."""
    (shelf.models / "chat_model" / ".packs.json").write_bytes(b'{"newest":{"tiny":1},"previous":"tiny-1"}')
    with pytest.raises(ProntuarioError, match=r"pack\.no_previous"):
        await desk.rollback("chat_model")
    Intake(shelf, spare_bytes=0).take_in(source)
    await desk.activate("tiny-2")
    assert (await desk.rollback("chat_model")).pack == "tiny-1"
