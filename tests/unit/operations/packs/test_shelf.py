"""The shelf: what is seen, what is active, what may be removed, and damage found on the node itself."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from appliance.operations.packs.intake import Intake
from appliance.operations.packs.manifest import MANIFEST_NAME
from appliance.operations.packs.shelf import Shelf
from appliance.plugin_api.errors import ProntuarioError
from appliance.plugin_api.model_folder import find_model_folder
from tests.fakes import packs


def code_of(caught: pytest.ExceptionInfo[ProntuarioError]) -> str:
    return caught.value.kind.code


def test_rows_tell_what_people_ask(shelf: Shelf) -> None:
    (row,) = shelf.rows()
    assert (row.pack, row.capability, row.version, row.active, row.trouble) == ("tiny-1", "chat_model", 1, True, "")
    assert (row.licence, row.intended_use, row.footprint_bytes) == ("Apache-2.0", "Tests only.", 1 << 20)
    assert row.bytes == shelf.verify("tiny-1").size


def test_the_plugins_find_the_active_pack_under_its_own_name(shelf: Shelf, tmp_path: Path) -> None:
    found = find_model_folder(
        configured=None, models_dir=shelf.models, capability="chat_model", demonstration=tmp_path / "none"
    )
    assert (found.path, found.demonstration) == (shelf.models.resolve() / "chat_model" / "tiny-1", False)


def test_pointing_is_one_step_and_remembers_the_one_before(shelf: Shelf, source: Path) -> None:
    Intake(shelf).take_in(source)
    assert shelf.point("chat_model", "tiny-2") == "tiny-1"
    assert (shelf.active("chat_model"), shelf.memory("chat_model").previous) == ("tiny-2", "tiny-1")
    assert not list((shelf.models / "chat_model").glob(".active-*"))
    assert shelf.point("chat_model", "") == "tiny-2"
    assert shelf.active("chat_model") == ""


def test_a_change_that_can_t_be_remembered_is_none(shelf: Shelf, source: Path) -> None:
    """As on a full disk: what serves after a restart must be what the person at the dashboard was told."""
    Intake(shelf).take_in(source)
    memory = shelf.models / "chat_model" / ".packs.json"
    memory.unlink()
    memory.mkdir()
    with pytest.raises(IsADirectoryError):
        shelf.point("chat_model", "tiny-2")
    assert shelf.active("chat_model") == "tiny-1"


def test_what_is_not_there_can_t_be_made_active(shelf: Shelf) -> None:
    with pytest.raises(ProntuarioError) as caught:
        shelf.point("chat_model", "tiny-9")
    assert (code_of(caught), shelf.active("chat_model")) == ("pack.unknown", "tiny-1")


def test_a_folder_put_there_by_hand_is_not_overwritten(shelf: Shelf, tmp_path: Path) -> None:
    by_hand = shelf.models / "speech_to_text" / "active"
    by_hand.mkdir(parents=True)
    with pytest.raises(ProntuarioError) as caught:
        shelf.point("speech_to_text", "tiny-1")
    assert (code_of(caught), by_hand.is_dir()) == ("pack.by_hand", True)


def test_only_what_does_not_serve_is_removed(shelf: Shelf, source: Path) -> None:
    size = Intake(shelf).take_in(source).size
    with pytest.raises(ProntuarioError) as caught:
        shelf.remove("tiny-1")
    assert code_of(caught) == "pack.in_use"
    assert shelf.remove("tiny-2") > size
    assert [row.pack for row in shelf.rows()] == ["tiny-1"]
    with pytest.raises(ProntuarioError) as caught:
        shelf.remove("tiny-2")
    assert code_of(caught) == "pack.unknown"


@pytest.mark.parametrize("name", packs.KINDS)
def test_verify_finds_a_bit_that_turned_on_the_node_s_own_disk(shelf: Shelf, name: str) -> None:
    path = shelf.find("tiny-1") / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)
    with pytest.raises(ProntuarioError) as caught:
        shelf.verify("tiny-1")
    assert (code_of(caught), caught.value.details["file"]) == ("pack.altered", name)


def test_a_pack_under_another_one_s_name_is_not_believed(shelf: Shelf) -> None:
    shutil.copytree(shelf.find("tiny-1"), shelf.models / "chat_model" / "tiny-7")
    with pytest.raises(ProntuarioError) as caught:
        shelf.verify("tiny-7")
    assert code_of(caught) == "pack.altered"
    assert [row.trouble for row in shelf.rows() if row.pack == "tiny-7"] == ["pack.altered"]


def test_a_key_that_is_trusted_no_more_shows_at_once(shelf: Shelf, tmp_path: Path) -> None:
    (tmp_path / "home" / "trust" / "maker.pem").unlink()
    assert [row.trouble for row in shelf.rows()] == ["pack.untrusted"]


def test_a_lost_memory_still_knows_what_is_installed(shelf: Shelf, tmp_path: Path) -> None:
    (shelf.models / "chat_model" / ".packs.json").write_bytes(b"{half")
    packs.make(tmp_path / "again", version=1, fill=b"\x77")
    with pytest.raises(ProntuarioError) as caught:
        Intake(shelf).take_in(tmp_path / "again")
    assert code_of(caught) == "pack.older"


def test_a_version_that_was_never_noted_is_noted_when_it_goes(shelf: Shelf, source: Path) -> None:
    """A power cut may come between a pack's name and the note of its version."""
    Intake(shelf).take_in(source)
    (shelf.models / "chat_model" / ".packs.json").unlink()
    shelf.remove("tiny-2")
    with pytest.raises(ProntuarioError) as caught:
        Intake(shelf).take_in(source)
    assert code_of(caught) == "pack.older"


def test_as_if_active_shows_the_candidate_and_the_others_as_they_are(shelf: Shelf, source: Path) -> None:
    Intake(shelf).take_in(source)
    with shelf.as_if_active("chat_model", shelf.find("tiny-2")) as staged:
        assert (staged / "chat_model" / "active").resolve().name == "tiny-2"
        with shelf.as_if_active("speech_to_text", shelf.find("tiny-2")) as other:
            assert (other / "chat_model" / "active").resolve().name == "tiny-1"
    assert not list(shelf.models.glob(".staging-*"))
    assert shelf.active("chat_model") == "tiny-1"


def test_the_manifest_in_place_is_the_one_that_was_signed(shelf: Shelf, tmp_path: Path) -> None:
    assert (shelf.find("tiny-1") / MANIFEST_NAME).read_bytes() == (tmp_path / "first" / MANIFEST_NAME).read_bytes()


def test_what_a_killed_process_left_of_a_change_is_cleared_away(shelf: Shelf) -> None:
    folder = shelf.models / "chat_model"
    (shelf.models / ".staging-x" / "chat_model").mkdir(parents=True)
    (shelf.models / ".staging-x" / "chat_model" / "active").symlink_to(folder / "tiny-1")
    (folder / ".active-1234").symlink_to("tiny-1")
    (folder / ".removed-1234").mkdir()
    (folder / ".incoming-1234").mkdir()
    shelf.tidy()
    assert sorted(path.name for path in folder.iterdir()) == [
        ".incoming-1234",
        ".lock",
        ".packs.json",
        "active",
        "tiny-1",
    ]
    assert sorted(path.name for path in shelf.models.iterdir()) == [".lock", "chat_model"]
    assert shelf.verify("tiny-1").version == 1
