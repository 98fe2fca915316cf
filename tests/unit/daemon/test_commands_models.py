"""``prontuario models`` without a node: the preparing machine's side, taking in, verifying, removing."""

from __future__ import annotations

import json
import os
import tarfile
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from appliance.config.model import Paths
from appliance.daemon.cli import main
from appliance.operations.packs.shelf import Shelf
from tests.fakes import packs


def run(*words: str | Path) -> Result:
    return CliRunner().invoke(main, ["models", *map(str, words)])


@pytest.fixture
def desk(tmp_path: Path) -> Path:
    """The preparing machine: a key, a licence, a model folder."""
    assert run("keygen", "--out", tmp_path / "keys", "--name", "maker").exit_code == 0
    (tmp_path / "LICENCE.txt").write_text("Health AI Developer Foundations, terms …")
    packs.write_model(tmp_path / "model")
    return tmp_path


def sign(desk: Path, version: int = 1, folder: str = "model") -> Result:
    return run(
        "sign", desk / folder, "--key", desk / "keys" / "maker.key.pem", "--name", "tiny", "--version", str(version),
        "--capability", "chat_model", "--licence", desk / "LICENCE.txt", "--intended-use", "Drafts, never a diagnosis.",
        "--footprint-gib", "0.5",
    )  # fmt: skip


def test_from_a_folder_to_an_installed_pack(desk: Path) -> None:
    home = desk / "home"
    assert "tiny-1: 8 files" in sign(desk).output
    refused = run("import", desk / "model", "--home", home)
    assert (refused.exit_code, "pack.untrusted" in refused.output) == (1, True)
    assert run("trust", desk / "keys" / "maker.pub.pem", "--home", home).exit_code == 0
    done = run("import", desk / "model", "--home", home)
    assert done.exit_code == 0, done.output
    assert "Drafts, never a diagnosis." in done.output
    assert "prontuario models activate tiny-1" in done.output
    (row,) = Shelf(Paths(home).models, Paths(home).pack_keys).rows()
    assert (row.pack, row.active, row.footprint_bytes) == ("tiny-1", False, 1 << 29)
    assert row.licence.startswith("Health AI")
    listed = run("list", "--json", "--home", home)
    assert listed.exit_code == 0
    assert [pack["pack"] for pack in json.loads(listed.stdout)["packs"]] == ["tiny-1"]


def test_a_plain_tar_of_a_pack_is_imported_as_its_folder_would_be(desk: Path) -> None:
    sign(desk)
    with tarfile.open(desk / "tiny.tar", "w") as made:
        made.add(desk / "model", arcname="model")
    assert run("trust", desk / "keys" / "maker.pub.pem", "--home", desk / "home").exit_code == 0
    done = run("import", desk / "tiny.tar", "--home", desk / "home")
    assert done.exit_code == 0, done.output
    assert "tiny-1 (chat_model) is installed" in done.output


@pytest.fixture
def home(desk: Path) -> Path:
    """With ``tiny-1`` installed."""
    made = desk / "home"
    sign(desk)
    run("trust", desk / "keys" / "maker.pub.pem", "--home", made)
    assert run("import", desk / "model", "--home", made).exit_code == 0
    return made


def test_the_same_version_again_is_refused_with_the_next_step(desk: Path, home: Path) -> None:
    again = run("import", desk / "model", "--home", home)
    assert (again.exit_code, "pack.older" in again.output, "prontuario models rollback" in again.output) == (
        1,
        True,
        True,
    )


def test_verify_tells_damage_by_its_exit_code(home: Path) -> None:
    fine = run("verify", "--home", home)
    assert (fine.exit_code, "tiny-1: as signed" in fine.output) == (0, True)
    path = Shelf(Paths(home).models, Paths(home).pack_keys).find("tiny-1") / packs.KINDS[1]
    path.write_bytes(path.read_bytes()[:-1] + b"\0")
    damaged = run("verify", "tiny-1", "--home", home)
    assert (damaged.exit_code, "pack.altered" in damaged.output, packs.KINDS[1] in damaged.output) == (5, True, True)
    assert run("verify", "tiny-9", "--home", home).exit_code == 5


def test_remove_frees_the_room(home: Path) -> None:
    assert run("remove", "tiny-9", "--home", home).exit_code == 1
    done = run("remove", "tiny-1", "--home", home)
    assert (done.exit_code, "Removed tiny-1" in done.output) == (0, True)
    assert run("list", "--home", home).exit_code == 6


@pytest.mark.parametrize("words", [("activate", "tiny-1"), ("rollback", "chat_model")])
def test_what_needs_a_node_says_so(home: Path, words: tuple[str, ...]) -> None:
    answer = run(*words, "--home", home)
    assert (answer.exit_code, "No node is running" in answer.output) == (6, True)


def test_keys_are_not_overwritten_and_a_wrong_key_is_told(desk: Path) -> None:
    again = run("keygen", "--out", desk / "keys", "--name", "maker")
    assert (again.exit_code, "nothing was overwritten" in again.output) == (1, True)
    wrong = run("trust", desk / "LICENCE.txt", "--home", desk / "home")
    assert (wrong.exit_code, "pack.key" in wrong.output) == (1, True)


def test_signing_refuses_a_pickle(desk: Path) -> None:
    (desk / "model" / "pytorch_model.bin").write_bytes(b"\x80\x04")
    refused = sign(desk)
    assert (refused.exit_code, "pack.pickle" in refused.output) == (1, True)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can write into a home of somebody else")
def test_root_is_told_to_act_as_the_node_s_own_user(desk: Path) -> None:
    home = desk / "home"
    home.mkdir()
    os.chown(home, 12345, 12345)
    for words in (("import", desk / "model"), ("trust", desk / "keys" / "maker.pub.pem"), ("remove", "tiny-1")):
        refused = run(*words, "--home", home)
        assert (refused.exit_code, "sudo -u '#12345'" in refused.output) == (1, True)
    assert list(home.iterdir()) == []
