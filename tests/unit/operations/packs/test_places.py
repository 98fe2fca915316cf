"""What the dashboard may reach for: the inbox and the configured places, never through a link, never out of them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from appliance.operations.packs import places
from appliance.operations.packs.manifest import MANIFEST_NAME
from appliance.operations.packs.places import INBOX, Places
from appliance.plugin_api.errors import ProntuarioError


@pytest.fixture
def disks(tmp_path: Path) -> Path:
    """Like /Volumes of a Mac: a stick with a pack, an archive and other things, and a link that is the whole disk."""
    stick = tmp_path / "Volumes" / "STICK"
    (stick / "packs" / "gemma").mkdir(parents=True)
    (stick / "packs" / "gemma" / MANIFEST_NAME).write_text("{}")
    (stick / "packs" / "Face.TAR").write_bytes(bytes(700))
    (stick / "packs" / "photo.jpg").write_bytes(b"x")
    (stick / ".Trashes").mkdir()
    (tmp_path / "secret").mkdir()
    (tmp_path / "Volumes" / "Macintosh HD").symlink_to("/")
    (stick / "away").symlink_to(tmp_path / "secret")
    os.mkfifo(stick / "pipe.tar")
    return tmp_path / "Volumes"


@pytest.fixture
def found(tmp_path: Path, disks: Path) -> Places:
    return Places(tmp_path / "home" / "inbox", (str(disks), "/nothing/here"))


def test_every_place_is_told_whether_or_not_it_is_there(found: Places, disks: Path) -> None:
    assert [(place.id, place.there) for place in found.all()] == [
        (INBOX, False), (str(disks), True), ("/nothing/here", False),
    ]  # fmt: skip


def test_packs_and_archives_come_first_and_nothing_else_but_folders_is_shown(found: Places, disks: Path) -> None:
    top = found.listing(str(disks), "")
    assert [(one.name, one.kind) for one in top.entries] == [("STICK", "folder")]
    assert [(one.name, one.kind) for one in found.listing(str(disks), "STICK").entries] == [("packs", "folder")]
    inside = found.listing(str(disks), "STICK/packs")
    assert [(one.name, one.path, one.kind, one.bytes) for one in inside.entries] == [
        ("Face.TAR", "STICK/packs/Face.TAR", "archive", 700), ("gemma", "STICK/packs/gemma", "pack", 0),
    ]  # fmt: skip
    assert found.find(str(disks), "STICK/packs/gemma") == disks / "STICK" / "packs" / "gemma"


@pytest.mark.parametrize(
    "path",
    [
        "Macintosh HD",
        "Macintosh HD/etc",
        "STICK/away",
        "STICK/away/x",
        "STICK/pipe.tar",
        "..",
        "../secret",
        "STICK/../../secret",
        "/etc",
        "STICK//packs",
        "STICK/.Trashes",
        "STICK/packs/none",
        "STICK/packs/photo.jpg/x",
        "STICK\n",
        "STICK/\0",
        "a" * 5000,
    ],
)
def test_what_leads_out_or_is_not_there_gets_one_answer(found: Places, disks: Path, path: str) -> None:
    for ask in (found.find, found.listing):
        with pytest.raises(ProntuarioError, match=r"pack\.place"):
            ask(str(disks), path)


@pytest.mark.parametrize("place", ["", "/", "/etc", "..", "inbox/..", "/nothing/here"])
def test_a_place_that_is_not_configured_or_not_there_is_refused(found: Places, place: str) -> None:
    with pytest.raises(ProntuarioError, match=r"pack\.place"):
        found.listing(place, "")


def test_a_file_is_no_folder_and_a_large_folder_is_told_as_cut(
    found: Places, disks: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ProntuarioError, match=r"pack\.place"):
        found.listing(str(disks), "STICK/packs/Face.TAR")
    monkeypatch.setattr(places, "MOST_ENTRIES", 1)
    assert not found.listing(str(disks), "STICK/packs").complete
    assert found.listing(str(disks), "STICK").complete
