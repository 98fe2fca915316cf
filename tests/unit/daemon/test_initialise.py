import subprocess
import sys
from pathlib import Path

import pytest

from appliance.config import Paths, load_config
from appliance.daemon.exits import CommandFailedError, Exit
from appliance.daemon.initialise import FIRST_ADMIN, initialise
from appliance.daemon.lock import HomeLock, running_pid
from appliance.daemon.ports import free_ports, with_ports
from appliance.security import users
from appliance.security.passwords import Passwords
from appliance.store.database import Database

OPTIONS = {"name": "mac-a", "hospital": 'Santa "Casa" \\', "profile": "development", "admin_user": "chefe"}


async def test_a_home_is_prepared_and_nothing_is_changed_the_second_time(tmp_path: Path) -> None:
    home = tmp_path / "home"
    await initialise(home, **OPTIONS)
    before = {
        path: path.read_bytes()
        for path in home.rglob("*")
        if path.is_file() and path.suffix in {".pem", ".key", ".toml", ".txt"}
    }
    again = await initialise(home, **OPTIONS)
    assert {path: path.read_bytes() for path in before} == before
    assert len(before) >= 6
    assert not any("Wrote" in sentence for sentence in again.sentences)


async def test_the_first_administrator_can_log_in_with_the_written_password(tmp_path: Path) -> None:
    home = tmp_path / "home"
    await initialise(home, **OPTIONS)
    paths = Paths(home)
    name, password = (paths.secrets / FIRST_ADMIN).read_text().split()
    assert name == "chefe"
    config = load_config(paths.config)
    assert config.node.hospital == 'Santa "Casa" \\'
    passwords = Passwords(1)
    async with await Database.open(paths.database, config.store) as database:
        user = await database.read(lambda q: users.find_by_name(q, "chefe"))
        assert user is not None
        assert user.role == "admin"
        stored = await database.read(lambda q: users.password_hash_of(q, user.id))
        assert (await passwords.verify(stored, password)).ok
    passwords.close()


async def test_secrets_are_readable_by_their_owner_only(tmp_path: Path) -> None:
    await initialise(tmp_path / "home", **OPTIONS)
    paths = Paths(tmp_path / "home")
    assert paths.secrets.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o077 for path in paths.secrets.iterdir()} == {0}


async def test_a_running_node_is_left_alone(tmp_path: Path) -> None:
    paths = Paths(tmp_path / "home")
    with HomeLock(paths.run):
        assert running_pid(paths.run) is not None
        with pytest.raises(CommandFailedError) as caught:
            await initialise(paths.home, **OPTIONS)
        assert caught.value.code == Exit.ALREADY_RUNNING
    assert running_pid(paths.run) is None


def test_the_lock_is_free_after_a_kill(tmp_path: Path) -> None:
    code = (
        "import sys, os, signal; from pathlib import Path; from appliance.daemon.lock import HomeLock\n"
        f"with HomeLock(Path({str(tmp_path)!r})): print(os.getpid(), flush=True); os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert int(done.stdout) > 0
    with HomeLock(tmp_path):
        assert running_pid(tmp_path) is not None


def test_ports_follow_the_base() -> None:
    config = with_ports(load_config(Path("/nonexistent.toml")), 9000)
    assert (config.api.port, config.cluster.peer_port, config.admin.port) == (9000, 9001, 9002)
    chosen = with_ports(config, 0)
    assert len({chosen.api.port, chosen.cluster.peer_port, chosen.admin.port}) == 3
    assert len(set(free_ports())) == 3
