"""The scripts that root runs on the Mac, here against small stand-ins for macOS's programs, and all of ours by shellcheck."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from appliance.daemon.launchd.jobs import jobs_of
from appliance.daemon.launchd.layout import Installation
from appliance.operations.power.switch_off import MAC_COMMAND
from tests.unit.daemon.launchd.parts import HOME, PAIR

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = ROOT / "packaging" / "scripts"
DIRECTORY = """
# dscl . -create RECORD KEY VALUE | -read RECORD KEY | -list FOLDER KEY, on a folder of files
book=$(dirname "$0")/directory
verb=$2; record=$3; key=${4:-}
case $verb in
  -create) mkdir -p "$book$record"; printf '%s' "$5" >"$book$record/$key" ;;
  -read) [ -f "$book$record/$key" ] || exit 56; echo "$key: $(cat "$book$record/$key")" ;;
  -list) for found in "$book$record"/*; do [ -f "$found/$key" ] && echo "$(basename "$found")  $(cat "$found/$key")"; done; true ;;
  *) exit 64 ;;
esac
"""
POWER = """
# pmset -a NAME VALUE | -g custom; knows no womp
book=$(dirname "$0")/power
case $1 in
  -a) [ "$2" != womp ] || exit 1; grep -v "^ $2 " "$book" >"$book.new" || true; echo " $2 $3" >>"$book.new"; mv "$book.new" "$book" ;;
  -g) echo "AC Power:"; cat "$book" ;;
esac
"""


@dataclass(frozen=True)
class Mac:
    """Stand-ins for macOS's programs, first on the path; each call is written down."""

    folder: Path

    def make(self, name: str, body: str = "") -> None:
        program = self.folder / name
        program.write_text(f'#!/bin/sh\nset -eu\necho "{name} $*" >>"{self.folder}/calls"\n{body}\n')
        program.chmod(0o755)

    @property
    def calls(self) -> list[str]:
        book = self.folder / "calls"
        return book.read_text().splitlines() if book.exists() else []

    def run(self, script: str, *words: str) -> subprocess.CompletedProcess[str]:
        path = f"{self.folder}:{os.environ['PATH']}"
        return subprocess.run(
            ["sh", str(SCRIPTS / script), *words],
            env={"PATH": path}, capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip

    def account(self, record: str, key: str) -> str:
        return (self.folder / "directory" / record / "_prontuario" / key).read_text()


@pytest.fixture
def mac(tmp_path: Path) -> Mac:
    mac = Mac(tmp_path / "bin")
    mac.folder.mkdir()
    mac.make("id", "echo 0")
    mac.make("dscl", DIRECTORY)
    mac.make("pmset", POWER)
    mac.make("tmutil")
    mac.make("chown")
    mac.make("pfctl")
    mac.make("visudo", 'grep -q "^_prontuario " "$2"')
    (mac.folder / "power").write_text(" sleep 10\n displaysleep 5\n autorestart 0\n")
    return mac


def ours() -> list[Path]:
    found = [path for top in ("bench", "packaging", "tests", "tools") for path in (ROOT / top).rglob("*.sh")]
    return sorted([*found, ROOT / ".ci" / "run"])


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="shellcheck is not installed (Debian: shellcheck)")
def test_every_script_is_clean() -> None:
    done = subprocess.run(["shellcheck", *map(str, ours())], capture_output=True, text=True, check=False, timeout=100)
    assert done.returncode == 0, done.stdout
    assert SCRIPTS / "power_settings.sh" in ours()


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("role_account.sh", ()), ("power_settings.sh", ()), ("time_machine.sh", ("/home-of-the-node",)),
        ("shutdown_right.sh", ()), ("pairing_door.sh", ("open",)),
    ],
)  # fmt: skip
def test_only_root_changes_a_mac(mac: Mac, script: str, words: Sequence[str]) -> None:
    mac.make("id", "echo 501")
    done = mac.run(script, *words)
    assert done.returncode == 1
    assert "as root" in done.stderr
    assert mac.calls == ["id -u"]


def test_the_role_account_can_do_nothing_but_own_files(mac: Mac) -> None:
    assert mac.run("role_account.sh").returncode == 0
    assert mac.account("Users", "UniqueID") == mac.account("Users", "PrimaryGroupID") == "301"
    assert mac.account("Groups", "PrimaryGroupID") == "301"
    assert mac.account("Users", "UserShell") == "/usr/bin/false"
    assert mac.account("Users", "NFSHomeDirectory") == "/var/empty"
    assert mac.account("Users", "Password") == "*"
    assert mac.account("Users", "IsHidden") == "1"


def test_an_id_of_somebody_else_s_is_not_taken(mac: Mac) -> None:
    for record, key, number in (("Users/_a", "UniqueID", "301"), ("Groups/_b", "PrimaryGroupID", "302")):
        folder = mac.folder / "directory" / record
        folder.mkdir(parents=True)
        (folder / key).write_text(number)
    assert mac.run("role_account.sh").returncode == 0
    assert mac.account("Users", "UniqueID") == mac.account("Groups", "PrimaryGroupID") == "303"


@pytest.mark.parametrize(
    ("record", "key"), [("Users", "UniqueID"), ("Groups", "PrimaryGroupID"), ("Users", "PrimaryGroupID")]
)
def test_a_second_run_keeps_the_number_and_completes_what_an_interrupted_one_left(
    mac: Mac, record: str, key: str
) -> None:
    folder = mac.folder / "directory" / record / "_prontuario"
    folder.mkdir(parents=True)
    (folder / key).write_text("333")
    expected = "333" if (record, key) != ("Users", "PrimaryGroupID") else "301"
    for _ in range(2):
        assert mac.run("role_account.sh").returncode == 0
        assert mac.account("Users", "UniqueID") == mac.account("Users", "PrimaryGroupID") == expected
        assert mac.account("Groups", "PrimaryGroupID") == expected


def test_folders_and_logs_get_owner_and_mode(mac: Mac, tmp_path: Path) -> None:
    root = tmp_path / "root"
    for _ in range(2):
        done = mac.run("node_folders.sh", str(HOME), str(root))
        assert done.returncode == 0, done.stderr
    home, logs = root / HOME.relative_to("/"), root / "var/log/prontuario"
    assert [path.stat().st_mode & 0o777 for path in (home, logs)] == [0o700, 0o755]
    assert f"chown _prontuario:_prontuario {home}" in mac.calls
    assert f"chown root:wheel {logs}" in mac.calls


def test_every_job_finds_its_own_log_file(mac: Mac, tmp_path: Path) -> None:
    root = tmp_path / "root"
    assert mac.run("node_folders.sh", str(HOME), str(root)).returncode == 0
    jobs = jobs_of(HOME, PAIR, Installation())
    made = {path.name for path in (root / "var/log/prontuario").iterdir()}
    assert made == {job.log.name for job in jobs}
    for job in jobs:
        file = root / job.log.relative_to("/")
        assert f"chown {job.user}:{job.group} {file}" in mac.calls
        assert file.stat().st_mode & 0o777 == 0o640


def test_what_a_log_holds_already_stays(mac: Mac, tmp_path: Path) -> None:
    logs = tmp_path / "root/var/log/prontuario"
    logs.mkdir(parents=True)
    (logs / "core.log").write_text("before")
    assert mac.run("node_folders.sh", str(HOME), str(tmp_path / "root")).returncode == 0
    assert (logs / "core.log").read_text() == "before"


@pytest.mark.parametrize("link", ["home", "var/log/prontuario"])
def test_a_folder_that_is_a_link_is_refused(mac: Mac, tmp_path: Path, link: str) -> None:
    (tmp_path / "elsewhere").mkdir()
    placed = tmp_path / "root" / link
    placed.parent.mkdir(parents=True)
    placed.symlink_to(tmp_path / "elsewhere")
    done = mac.run("node_folders.sh", "/home", str(tmp_path / "root"))
    assert done.returncode == 1
    assert f"{placed} is a link" in done.stderr
    assert not mac.calls
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_the_mac_stays_awake_and_comes_back(mac: Mac) -> None:
    done = mac.run("power_settings.sh")
    assert done.returncode == 0, done.stdout + done.stderr
    power = dict(line.split() for line in (mac.folder / "power").read_text().splitlines())
    assert {name: power[name] for name in ("sleep", "disksleep", "standby", "powernap", "autorestart")} == {
        "sleep": "0", "disksleep": "0", "standby": "0", "powernap": "0", "autorestart": "1",
    }  # fmt: skip
    assert power["displaysleep"] == "5"
    assert "this Mac has no womp" in done.stderr


def test_the_check_changes_nothing_and_names_what_is_wrong(mac: Mac) -> None:
    before = (mac.folder / "power").read_text()
    done = mac.run("power_settings.sh", "--check")
    assert done.returncode == 1
    assert done.stdout.splitlines() == ["sleep is 10, should be 0", "autorestart is 0, should be 1"]
    assert (mac.folder / "power").read_text() == before
    assert mac.run("power_settings.sh").returncode == 0
    assert mac.run("power_settings.sh", "--check").returncode == 0


def test_time_machine_leaves_the_record_alone(mac: Mac) -> None:
    assert mac.run("time_machine.sh", str(HOME)).returncode == 0
    assert mac.calls[1:] == [f"tmutil addexclusion -p {HOME}", "tmutil addexclusion -p /var/log/prontuario"]


def test_the_account_may_switch_off_by_one_command_line_and_nothing_else(mac: Mac, tmp_path: Path) -> None:
    root = tmp_path / "root"
    for _ in range(2):
        done = mac.run("shutdown_right.sh", str(root))
        assert done.returncode == 0, done.stderr
    folder = root / "etc/sudoers.d"
    rules = [line for line in (folder / "prontuario").read_text().splitlines() if not line.startswith("#")]
    assert rules == ["_prontuario ALL=(root) NOPASSWD: /sbin/shutdown -h now"]
    assert rules[0].endswith(" ".join(MAC_COMMAND[2:])), "what core asks for is what it may do"
    assert rules[0] in (ROOT / "docs" / "power.md").read_text()
    assert (folder / "prontuario").stat().st_mode & 0o777 == 0o440
    assert f"chown root:wheel {folder / 'prontuario.new'}" in mac.calls
    assert [path.name for path in folder.iterdir()] == ["prontuario"]


def test_a_rule_that_visudo_refuses_changes_nothing(mac: Mac, tmp_path: Path) -> None:
    folder = tmp_path / "root/etc/sudoers.d"
    folder.mkdir(parents=True)
    (folder / "prontuario").write_text("before")
    mac.make("visudo", "exit 1")
    done = mac.run("shutdown_right.sh", str(tmp_path / "root"))
    assert done.returncode == 1
    assert "nothing was changed" in done.stderr
    assert [(path.name, path.read_text()) for path in folder.iterdir()] == [("prontuario", "before")]


def test_while_a_second_mac_joins_macos_s_own_rules_hold(mac: Mac, tmp_path: Path) -> None:
    assert mac.run("pairing_door.sh", "open", str(tmp_path)).returncode == 0
    assert mac.run("pairing_door.sh", "close", str(tmp_path)).returncode == 0
    told = [call for call in mac.calls if call.startswith("pfctl")]
    assert told == ["pfctl -f /etc/pf.conf", f"pfctl -f {tmp_path}/etc/prontuario/pf.conf"]


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("pairing_door.sh", ("ajar",)),
        ("node_folders.sh", ()),
        ("time_machine.sh", ()),
        ("power_settings.sh", ("--chek",)),
    ],
)
def test_wrong_usage_is_told(mac: Mac, script: str, words: Sequence[str]) -> None:
    done = mac.run(script, *words)
    assert done.returncode == 2
    assert f"usage: {script}" in done.stderr
