"""Two homes become one service; a real etcd runs among the three voters that result."""

from __future__ import annotations

import asyncio
import os
import ssl
import stat
from pathlib import Path

import httpx
import pytest

from appliance.config import Paths, load_config
from appliance.daemon.exits import CommandFailedError, Exit
from appliance.daemon.initialise import initialise
from appliance.daemon.lock import HomeLock
from appliance.daemon.pair.etcd_child import RunningVoter, own_voter
from appliance.daemon.pair.founding import found, found_for_development, gift_of, join, third_voter, write_voter
from appliance.daemon.pair.founding_commands import Wishes, invite
from appliance.daemon.pair.plan import PairPlan, Place
from appliance.daemon.ports import free_ports
from appliance.plugin_api.errors import ProntuarioError
from appliance.security.authority import load_certificate
from appliance.security.certificates import names_in
from appliance.security.master_key import open_vault
from appliance.security.node_authority import client_side, node_files
from appliance.store.process_lock import ProcessLock

PATIENCE_S = 120.0


def local_plan() -> PairPlan:
    def place(name: str) -> Place:
        api, peer, admin, client, etcd_peer = free_ports(5)
        return Place(
            name=name, host="127.0.0.1", api_port=api, peer_port=peer, admin_port=admin, etcd_client_port=client,
            etcd_peer_port=etcd_peer,
        )  # fmt: skip

    return PairPlan(first=place("a"), second=place("b"), witness=place("w"), client_address="prontuario.local:8443")


async def test_a_pair_on_one_machine_is_prepared_once_and_trusts_itself(tmp_path: Path) -> None:
    plan = local_plan()
    await found_for_development(tmp_path, plan)
    kept = {
        path: path.read_bytes() for path in tmp_path.rglob("*") if path.suffix in {".pem", ".key", ".toml", ".json"}
    }
    await found_for_development(tmp_path, local_plan())
    assert {path: path.read_bytes() for path in kept} == kept
    a, b = Paths(tmp_path / "a"), Paths(tmp_path / "b")
    config_a, config_b = load_config(a.config), load_config(b.config)
    assert config_a.cluster.peer_peer_port == config_b.cluster.peer_port
    assert config_b.api.port == plan.second.api_port
    sealed = open_vault(a, config_a).seal(b"chave", b"x")
    assert open_vault(b, config_b).open(sealed, b"x") == b"chave"
    assert not b.database.exists(), "the record comes from the first node"
    server = load_certificate(b.secrets / "server.pem")
    assert server is not None
    assert {"localhost", "prontuario.local", "b"} <= names_in(server)


async def test_three_voters_elect_and_a_stranger_can_t_ask_them(tmp_path: Path) -> None:
    plan = local_plan()
    await found_for_development(tmp_path, plan)
    members = [own_voter(Paths(tmp_path / name), load_config(Paths(tmp_path / name).config)) for name in ("a", "b")]
    running = [RunningVoter(voter) for voter in (*members, third_voter(tmp_path / "w")) if voter is not None]
    assert len(running) == 3
    await asyncio.gather(*(one.start() for one in running))
    try:
        files = node_files(Paths(tmp_path / "b").secrets)
        url = f"https://127.0.0.1:{plan.first.etcd_client_port}"
        async with httpx.AsyncClient(verify=client_side(files), base_url=url) as client, asyncio.timeout(PATIENCE_S):
            while (await client.get("/health")).json().get("health") != "true":  # noqa: ASYNC110  another process
                await asyncio.sleep(0.1)
            found_ = (await client.post("/v3/cluster/member/list", json={})).json()
            assert {one["name"] for one in found_["members"]} == {"a", "b", "w"}
        with pytest.raises((httpx.TransportError, ssl.SSLError)):
            async with httpx.AsyncClient(verify=False, base_url=url) as stranger:
                await stranger.get("/health")
    finally:
        await asyncio.gather(*(one.stop() for one in running))
    lock = await ProcessLock.take(tmp_path / "w" / "etcd" / "lock")  # nobody is left who holds it
    lock.release()


async def test_the_third_voter_s_folder_holds_no_key_of_the_hospital_and_moves(tmp_path: Path) -> None:
    plan = local_plan()
    await found_for_development(tmp_path, plan)
    folder = tmp_path / "w"
    names = {path.name for path in folder.rglob("*") if path.is_file()}
    assert names == {"node-ca.pem", "node.pem", "node.key", "voter.json", "etcd.sh"}
    assert stat.S_IMODE((folder / "node.key").stat().st_mode) == 0o600
    moved = folder.rename(tmp_path / "carried")
    script = (moved / "etcd.sh").read_text()
    assert str(tmp_path) not in script
    assert os.access(moved / "etcd.sh", os.X_OK)
    assert third_voter(moved).member.data == moved / "etcd" / "data"
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "etcd").write_text("#!/bin/sh\nprintf '%s\\n' \"$@\"\n")
    (programs / "etcd").chmod(0o700)
    process = await asyncio.create_subprocess_exec(
        str(moved / "etcd.sh"), "--initial-cluster-state=existing", stdout=asyncio.subprocess.PIPE,
        env={"PATH": f"{programs}:{os.environ['PATH']}"},
    )  # fmt: skip
    given, _ = await process.communicate()
    words = given.decode().splitlines()
    assert words[-1] == "--initial-cluster-state=existing", "a replaced voter joins the set that is there"
    assert f"--data-dir={moved / 'etcd' / 'data'}" in words
    with pytest.raises(CommandFailedError, match="no third voter"):
        third_voter(tmp_path)


async def test_a_running_node_and_a_home_with_another_record_are_refused(tmp_path: Path) -> None:
    plan = local_plan()
    home = tmp_path / "a"
    await initialise(home, name="a", hospital="H", profile="development", admin_user="admin")
    with HomeLock(Paths(home).run), pytest.raises(CommandFailedError) as running:
        await found(home, plan)
    assert running.value.code is Exit.ALREADY_RUNNING
    gift = await found(home, plan)
    assert gift_of(home, plan) == gift
    with pytest.raises(CommandFailedError, match="already"):
        await found(home, plan)
    other = tmp_path / "other"
    await initialise(other, name="x", hospital="X", profile="development", admin_user="admin")
    before = (other / "prontuario.toml").read_bytes()
    with pytest.raises(ProntuarioError, match=r"cluster\.has_record"):
        join(other, gift)
    assert (other / "prontuario.toml").read_bytes() == before


async def test_a_pair_that_stands_is_not_told_other_addresses(tmp_path: Path) -> None:
    """Swapped or mistyped, they would give a new Mac the name of the node that is left."""
    await found_for_development(tmp_path, local_plan())
    wishes = Wishes(
        address="127.0.0.1", peer_address="127.0.0.7", witness_address=None, vip=(), vip_interface="", client_address="",
        join_port=0, witness_folder=None,
    )  # fmt: skip
    with pytest.raises(CommandFailedError, match=r"This is node b of a pair: --address 127\.0\.0\.1") as refused:
        await invite(tmp_path / "b", wishes, str)
    assert refused.value.code is Exit.USAGE


async def test_a_node_that_listens_only_to_itself_is_told_so(tmp_path: Path) -> None:
    home = tmp_path / "a"
    await initialise(home, name="a", hospital="H", profile="development", admin_user="admin")
    with (home / "prontuario.toml").open("a") as file:
        file.write("\n[api]\nport = 9443\n")
    plan = PairPlan(first=Place(name="a", host="10.0.0.1"), second=Place(name="b", host="10.0.0.2"))
    with pytest.raises(CommandFailedError, match="can't reach this node"):
        await found(home, plan)


async def test_without_a_third_voter_there_is_no_folder(tmp_path: Path) -> None:
    plan = PairPlan(first=Place(name="a", host="127.0.0.1"), second=Place(name="b", host="127.0.0.1"))
    await found_for_development(tmp_path, plan)
    write_voter(tmp_path / "a", plan, tmp_path / "w")
    assert not (tmp_path / "w").exists()
    cluster = load_config(Paths(tmp_path / "a").config).cluster
    assert len(cluster.etcd_endpoints) == 2


async def test_a_node_with_a_virtual_ip_listens_on_it_and_still_carries_its_own_name(tmp_path: Path) -> None:
    plan = PairPlan(
        first=Place(name="a", host="10.0.0.1"),
        second=Place(name="b", host="10.0.0.2"),
        vip_addresses=("10.0.0.9",),
        vip_interface="lan0",
    )
    await found_for_development(tmp_path, plan)
    for node, own in (("a", "10.0.0.1"), ("b", "10.0.0.2")):
        paths = Paths(tmp_path / node)
        assert load_config(paths.config).api.host == "0.0.0.0", "the address is not there when the node starts"
        certificate = load_certificate(paths.secrets / "server.pem")
        assert certificate is not None
        assert {own, "10.0.0.9"} <= set(names_in(certificate))


async def test_a_node_that_is_bound_to_its_own_address_is_refused_a_virtual_ip(tmp_path: Path) -> None:
    home = tmp_path / "a"
    await initialise(home, name="a", hospital="H", profile="development", admin_user="admin")
    config = Paths(home).config
    config.write_text(f'{config.read_text()}\n[api]\nhost = "10.0.0.1"\n')
    plan = PairPlan(
        first=Place(name="a", host="10.0.0.1"), second=Place(name="b", host="10.0.0.2"), vip_addresses=("10.0.0.9",)
    )
    with pytest.raises(CommandFailedError, match=r"10\.0\.0\.1 and 10\.0\.0\.9.*0\.0\.0\.0") as refused:
        await found(home, plan)
    assert refused.value.code is Exit.CONFIG
    config.write_text(config.read_text().replace("10.0.0.1", "0.0.0.0"))
    assert (await found(home, plan)).plan == plan, "nothing was half done"
