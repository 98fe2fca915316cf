from __future__ import annotations

import os
from pathlib import Path, PurePosixPath

import msgspec
import pytest

from appliance.config import Config, load_config
from appliance.config.model import Cluster
from appliance.daemon.launchd.layout import RenderedFile
from appliance.daemon.launchd.render import rendered, write
from appliance.plugin_api.errors import ProntuarioError
from tests.unit.daemon.launchd.parts import ALONE, HOME, PAIR

EXAMPLE = Path(__file__).parents[4] / "launchd" / "example"


def test_a_pair_s_files_and_where_they_go() -> None:
    assert [str(file.path) for file in rendered(HOME, PAIR)] == [
        "/Library/LaunchDaemons/br.prontuario.firewall.plist",
        "/Library/LaunchDaemons/br.prontuario.etcd.plist",
        "/Library/LaunchDaemons/br.prontuario.vipd.plist",
        "/Library/LaunchDaemons/br.prontuario.core.plist",
        "/Library/LaunchDaemons/br.prontuario.admin.plist",
        "/etc/newsyslog.d/prontuario.conf",
        "/etc/prontuario/pf.conf",
        "/etc/pf.anchors/br.prontuario",
    ]


def test_never_apple_s_own_packet_filter_nor_an_agent() -> None:
    paths = {str(file.path) for config in (ALONE, PAIR) for file in rendered(HOME, config)}
    assert "/etc/pf.conf" not in paths
    assert not [path for path in paths if "LaunchAgents" in path]


def test_nobody_but_root_may_write_what_launchd_reads() -> None:
    assert {file.mode for file in rendered(HOME, PAIR)} == {0o644}


def test_files_are_written_below_the_root_with_their_mode(tmp_path: Path) -> None:
    written = write(rendered(HOME, PAIR), tmp_path)
    assert [path.stat().st_mode & 0o777 for path in written] == [0o644] * len(written)
    assert sorted(path for path in tmp_path.rglob("*") if path.is_file()) == sorted(written)


def test_modes_do_not_depend_on_the_caller_s_umask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        written = write(rendered(HOME, PAIR), tmp_path)
    finally:
        os.umask(before)
    assert {path.stat().st_mode & 0o777 for path in written} == {0o644}


def test_jobs_that_the_node_no_longer_has_go_away_and_those_of_others_stay(tmp_path: Path) -> None:
    folder = tmp_path / "Library" / "LaunchDaemons"
    write(rendered(HOME, PAIR), tmp_path)
    (folder / "com.example.other.plist").write_text("not ours")
    write(rendered(HOME, ALONE), tmp_path)
    assert {path.name for path in folder.iterdir()} == {
        "br.prontuario.firewall.plist", "br.prontuario.core.plist", "br.prontuario.admin.plist", "com.example.other.plist",
    }  # fmt: skip


def test_writing_again_replaces(tmp_path: Path) -> None:
    file = RenderedFile(PurePosixPath("/etc/x"), b"old")
    write([file], tmp_path)
    write([RenderedFile(file.path, b"new")], tmp_path)
    assert (tmp_path / "etc" / "x").read_bytes() == b"new"


def test_a_name_instead_of_an_address_stops_everything() -> None:
    named = msgspec.structs.replace(PAIR, cluster=Cluster(mode="paired", peer_host="mac-b", listen_host=""))
    with pytest.raises(ProntuarioError, match=r"launchd\.address"):
        rendered(HOME, named)


def test_the_example_in_the_repository_is_what_is_rendered() -> None:
    """``prontuario launchd render --config launchd/example/prontuario.toml --out launchd/example/rendered`` makes it again."""
    config: Config = load_config(EXAMPLE / "prontuario.toml")
    root = EXAMPLE / "rendered"
    found = {
        PurePosixPath("/") / path.relative_to(root): path.read_bytes() for path in root.rglob("*") if path.is_file()
    }
    assert found == {file.path: file.content for file in rendered(HOME, config)}
