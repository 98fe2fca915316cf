"""A joined node opens what the first one sealed and certifies what the first one's clients trust."""

from __future__ import annotations

import asyncio
import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest

from appliance.config import Config, Paths, load_config
from appliance.config.model import Node
from appliance.daemon.initialise import initialise
from appliance.daemon.pair.shared_secrets import COMMON_FILES, SharedSecrets, adopt, collect
from appliance.plugin_api.errors import ProntuarioError
from appliance.security.authority import Authority, load_certificate
from appliance.security.files import write_file
from appliance.security.master_key import open_vault
from appliance.security.node_authority import prepare_node
from appliance.store.database import Database

NOW = datetime.now(UTC)
CONFIG = Config(node=Node(profile="development"))


async def first_node(home: Path) -> Paths:
    await initialise(home, name="mac-a", hospital="H", profile="development", admin_user="admin")
    paths = Paths(home)
    prepare_node(paths.secrets, ["a"], NOW)
    for name in ("audit.key", "dashboard.key", "dashboard.pem"):
        write_file(paths.secrets / name, name.encode())
    return paths


async def test_the_second_node_opens_and_certifies_what_the_first_one_did(tmp_path: Path) -> None:
    a, b = await first_node(tmp_path / "a"), Paths(tmp_path / "b")
    config = load_config(a.config)
    adopt(b, config, collect(a, config))
    adopt(b, config, collect(a, config))  # a join that was interrupted is repeated
    sealed = open_vault(a, config).seal(b"chave", b"context")
    assert open_vault(b, config).open(sealed, b"context") == b"chave"
    authority = Authority.open(b, config, NOW)
    assert authority.root_pem == a.ca.read_bytes()
    server = load_certificate(authority.server_certificate)
    root = load_certificate(a.secrets / "root.pem")
    assert server is not None
    assert root is not None
    server.verify_directly_issued_by(root)
    assert (b.secrets / "server.key").read_bytes() != (a.secrets / "server.key").read_bytes()
    for name in (*COMMON_FILES, "master.json"):
        assert stat.S_IMODE((b.secrets / name).stat().st_mode) == 0o600


async def test_a_home_with_a_record_of_its_own_keeps_it(tmp_path: Path) -> None:
    a, other = await first_node(tmp_path / "a"), await first_node(tmp_path / "other")
    before = (other.secrets / "root.key").read_bytes()
    with pytest.raises(ProntuarioError, match=r"cluster\.has_record"):
        adopt(other, CONFIG, collect(a, CONFIG))
    assert (other.secrets / "root.key").read_bytes() == before
    async with await Database.open(other.database, CONFIG.store) as database:
        assert await database.read(lambda q: q.one("SELECT count(*) FROM security_user")) is not None


async def test_a_node_that_was_never_prepared_says_what_it_lacks(tmp_path: Path) -> None:
    home = tmp_path / "a"
    await initialise(home, name="mac-a", hospital="H", profile="development", admin_user="admin")
    with pytest.raises(ProntuarioError, match=r"cluster\.incomplete") as refused:
        await asyncio.to_thread(collect, Paths(home), CONFIG)
    assert "node-ca.key" in refused.value.sentence("en")
    assert "root.key" not in refused.value.sentence("en")


def test_a_traceback_carries_no_key() -> None:
    shared = SharedSecrets({"root.key": b"TOP SECRET"}, b"MASTER KEY")
    assert "SECRET" not in repr(shared)
    assert "MASTER" not in repr(shared)
    assert "root.key" in repr(shared)
