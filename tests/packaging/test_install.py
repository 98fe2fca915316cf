"""The package installed into a scratch root: the tree, modes, links and plists; upgrades, failed ones, and taking it away."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from pkgmake.assemble import assemble
from pkgmake.package import write_package

from appliance.daemon.launchd.lint import faults_of
from tests.fakes.mac_ground import ScratchMac
from tests.fakes.package_sources import Ground
from tests.unit.daemon.launchd.parts import PAIR

OLD, NEW, NEWEST = "1.0.0", "1.1.0", "1.2.0"
JOBS = {f"br.prontuario.{name}" for name in ("firewall", "core", "admin")}
STEPS = ["bootout", "print", "render", "bootstrap", "gate"]


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("packages")
    ground = Ground(folder / "ground")
    found = {}
    for version in (OLD, NEW, NEWEST):
        root = folder / version
        assemble(ground.sources(), version, root)
        found[version] = folder / f"prontuario-{version}.pkg"
        write_package(root, ground.repository / "packaging" / "install", version, found[version])
    return found


@pytest.fixture
def mac(tmp_path: Path) -> ScratchMac:
    return ScratchMac.make(tmp_path)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory, packages: dict[str, Path]) -> ScratchMac:
    mac = ScratchMac.make(tmp_path_factory.mktemp("installed"))
    mac.make_node()
    done = mac.install(packages[OLD])
    assert done.returncode == 0, done.stderr
    assert (mac.current, mac.jobs) == (f"versions/{OLD}", JOBS)
    return mac


@pytest.fixture
def running(installed: ScratchMac, tmp_path: Path) -> ScratchMac:
    """A node of the old version, with all its jobs."""
    return installed.copy(tmp_path / "mac")


def is_whole(mac: ScratchMac, version: str) -> None:
    """``version`` runs with all its jobs, nothing is half done, and the record is untouched."""
    assert mac.current == f"versions/{version}"
    assert mac.jobs == JOBS
    left = {path.name for path in mac.prefix.iterdir()} - {"previous"}
    assert left == {"versions", "current"}
    assert (mac.home / "record").read_text() == "what must never be lost"


def test_a_mac_without_a_node_gets_the_program_and_no_jobs(mac: ScratchMac, packages: dict[str, Path]) -> None:
    done = mac.install(packages[OLD])
    assert done.returncode == 0, done.stderr
    assert mac.current == f"versions/{OLD}"
    assert mac.jobs == set()
    assert not (mac.root / "Library" / "LaunchDaemons").exists()
    assert not (mac.root / "Library" / "LaunchAgents").exists()
    for folder in (mac.prefix, mac.prefix / "versions", mac.prefix / "versions" / OLD):
        assert folder.stat().st_mode & 0o777 == 0o755
        assert f"chown root:wheel {folder}" in mac.calls
    assert mac.home.stat().st_mode & 0o777 == 0o700
    assert f"chown _prontuario:_prontuario {mac.home}" in mac.calls
    command = mac.root / "usr/local/bin/prontuario"
    assert (command.stat().st_mode & 0o777, command.is_symlink()) == (0o755, False)
    assert "/Library/Prontuario/current/bin/prontuario" in command.read_text()
    assert (mac.book / "directory/Users/_prontuario/UserShell").read_text() == "/usr/bin/false"


def test_a_node_s_jobs_run_as_their_plists_say(installed: ScratchMac) -> None:
    plists = sorted((installed.root / "Library" / "LaunchDaemons").iterdir())
    assert {path.stem for path in plists} == JOBS
    assert [fault for path in plists for fault in faults_of(path.name, path.read_bytes())] == []
    assert all(path.stat().st_mode & 0o777 == 0o644 for path in plists)
    home = "/Library/Application Support/Prontuario"
    rendering = f"{OLD}: -I -B -m appliance.daemon launchd render --home {installed.root}{home} --out {installed.root}/"
    assert rendering in installed.interpreter_calls
    assert any("health_gate.py" in call for call in installed.interpreter_calls)


def test_a_mac_s_settings_change_once_it_is_a_node_and_again_at_every_update(
    installed: ScratchMac, mac: ScratchMac, packages: dict[str, Path]
) -> None:
    assert mac.install(packages[OLD]).returncode == 0
    changed = {"pmset", "tmutil", "visudo"}
    assert not changed & {call.split()[0] for call in mac.calls}, "the package alone changes no setting"
    assert not (mac.root / "etc/sudoers.d").exists()
    assert changed <= {call.split()[0] for call in installed.calls}
    assert " sleep 0\n" in (installed.book / "power").read_text()
    assert f"tmutil addexclusion -p {installed.home}" in installed.calls
    rule = installed.root / "etc/sudoers.d/prontuario"
    assert "_prontuario ALL=(root) NOPASSWD: /sbin/shutdown -h now\n" in rule.read_text()


def test_a_setting_that_macos_refuses_is_told_and_does_not_stop_an_update(
    running: ScratchMac, packages: dict[str, Path]
) -> None:
    running.program(running.book / "bin" / "visudo", "exit 1")
    done = running.install(packages[NEW])
    assert done.returncode == 0, done.stderr
    assert "the UPS can't switch this Mac off" in done.stderr
    is_whole(running, NEW)


def test_a_command_that_can_t_be_written_leaves_the_one_of_before(
    running: ScratchMac, packages: dict[str, Path]
) -> None:
    """Installer failed on a full disk: whoever comes to look types prontuario doctor."""
    running.program(running.book / "bin" / "chmod", 'case $2 in */local/bin/*) exit 1 ;; esac\nexec /bin/chmod "$@"')
    assert running.install(packages[NEW]).returncode == 1
    command = running.root / "usr/local/bin/prontuario"
    assert command.stat().st_mode & 0o777 == 0o755
    assert "/Library/Prontuario/current/bin/prontuario" in command.read_text()
    is_whole(running, OLD)


def test_an_upgrade_waits_for_every_job_of_a_pair_s_node(tmp_path: Path, packages: dict[str, Path]) -> None:
    mac = ScratchMac.make(tmp_path, PAIR)
    mac.make_node()
    assert mac.install(packages[OLD]).returncode == 0
    before = len(mac.launchctl_calls)
    done = mac.install(packages[NEW])
    assert done.returncode == 0, done.stderr
    assert (mac.current, (mac.prefix / "previous").read_text().strip()) == (f"versions/{NEW}", OLD)
    calls = mac.launchctl_calls[before:]
    verbs = [verb for verb, *_ in calls]
    # Until launchd has forgotten the last label nothing is loaded: an old core must not meet a new vipd.
    assert "bootout" not in verbs[verbs.index("bootstrap") :]
    assert [words[-1].split("prontuario.")[-1].removesuffix(".plist") for words in calls if words[0] == "bootstrap"] == [
        "firewall", "etcd", "vipd", "core", "admin",
    ]  # fmt: skip
    assert verbs.count("print") > verbs.count("bootstrap"), "bootout answers before the job is gone"


def test_whoever_does_not_wait_is_left_with_nothing_running(running: ScratchMac) -> None:
    """The naive sequence, against the same launchd: what the wait in jobs.sh is for."""
    launchctl, label = running.book / "bin" / "launchctl", "br.prontuario.core"
    assert running.run(launchctl, "bootout", f"system/{label}").returncode == 0
    plist = running.root / "Library" / "LaunchDaemons" / f"{label}.plist"
    assert running.run(launchctl, "bootstrap", "system", str(plist)).returncode in {5, 37}
    assert label not in running.jobs
    assert running.run(running.script("activate.sh"), OLD, str(running.root)).returncode == 0
    is_whole(running, OLD)


def test_two_versions_stay_and_older_ones_go(running: ScratchMac, packages: dict[str, Path]) -> None:
    for version in (NEW, NEWEST):
        assert running.install(packages[version]).returncode == 0
    is_whole(running, NEWEST)
    assert {path.name for path in (running.prefix / "versions").iterdir()} == {NEW, NEWEST}


def test_the_version_before_stays_on_the_disk_also_when_it_could_not_be_noted(
    running: ScratchMac, packages: dict[str, Path]
) -> None:
    """A consult that fails after the switch goes back to it; a full disk is no reason to have deleted it."""
    assert running.install(packages[NEW]).returncode == 0
    (running.prefix / "previous.new").mkdir()  # nothing can be written there, as on a full disk
    done = running.install(packages[NEWEST])
    assert done.returncode == 0, done.stderr
    assert running.current == f"versions/{NEWEST}"
    assert {path.name for path in (running.prefix / "versions").iterdir()} >= {NEW, NEWEST}
    refused = running.run(running.script("activate.sh"), "--back", str(running.root))
    assert (refused.returncode, "no version before" in refused.stderr) == (1, True), "never two versions back"


@pytest.mark.parametrize("fault", ["unhealthy", "unrendered"])
def test_a_version_that_is_not_well_gives_way_to_the_one_before(
    running: ScratchMac, packages: dict[str, Path], fault: str
) -> None:
    running.spoil(f"{fault}-{NEW}")
    done = running.install(packages[NEW])
    assert done.returncode == 3
    assert f"version {NEW} is not healthy" in done.stderr
    assert f"version {OLD} runs again" in done.stderr
    is_whole(running, OLD)
    assert running.interpreter_calls[-1].startswith(f"{OLD}: ")


def test_when_neither_is_well_it_says_so_and_leaves_the_one_before(
    running: ScratchMac, packages: dict[str, Path]
) -> None:
    for version in (OLD, NEW):
        running.spoil(f"unhealthy-{version}")
    done = running.install(packages[NEW])
    assert done.returncode == 5
    assert "prontuario doctor" in done.stderr
    is_whole(running, OLD)


def test_the_plists_of_before_serve_when_none_can_be_rendered(running: ScratchMac, packages: dict[str, Path]) -> None:
    for version in (OLD, NEW):
        running.spoil(f"unrendered-{version}")
    assert running.install(packages[NEW]).returncode == 3
    is_whole(running, OLD)


def test_a_first_version_that_is_not_well_leaves_nothing_running(mac: ScratchMac, packages: dict[str, Path]) -> None:
    mac.make_node()
    mac.spoil(f"unhealthy-{OLD}")
    assert mac.install(packages[OLD]).returncode == 4
    assert (mac.current, mac.jobs) == (None, set())
    assert not list(mac.root.glob("Library/LaunchDaemons/*"))
    (mac.book / f"unhealthy-{OLD}").unlink()
    assert mac.install(packages[OLD]).returncode == 0
    is_whole(mac, OLD)


@pytest.mark.parametrize("step", STEPS)
def test_killed_in_the_middle_the_next_installation_makes_it_whole(
    running: ScratchMac, packages: dict[str, Path], step: str
) -> None:
    running.kill_at(step)
    assert running.install(packages[NEW]).returncode == -9
    assert running.current in {f"versions/{OLD}", f"versions/{NEW}"}, "at no moment is current missing"
    assert (running.prefix / "switching").read_text().strip() == OLD
    done = running.install(packages[NEW])
    assert done.returncode == 0, done.stderr
    is_whole(running, NEW)
    assert (running.prefix / "previous").read_text().strip() == OLD


@pytest.mark.parametrize("step", ["bootstrap"])
def test_killed_in_the_middle_the_node_can_go_back_without_a_package(
    running: ScratchMac, packages: dict[str, Path], step: str
) -> None:
    running.kill_at(step)
    assert running.install(packages[NEW]).returncode == -9
    done = running.run(running.script("activate.sh"), "--heal", str(running.root))
    assert done.returncode == 3
    is_whole(running, OLD)
    again = running.run(running.script("activate.sh"), "--heal", str(running.root))
    assert (again.returncode, again.stderr) == (0, "")


def test_killed_and_then_unhealthy_it_goes_back_to_what_ran_before_the_first_attempt(
    running: ScratchMac, packages: dict[str, Path]
) -> None:
    running.kill_at("gate")
    assert running.install(packages[NEW]).returncode == -9
    running.spoil(f"unhealthy-{NEW}")
    assert running.install(packages[NEW]).returncode == 3
    is_whole(running, OLD)


def test_an_installation_that_was_cut_off_in_its_payload_changes_nothing(
    running: ScratchMac, packages: dict[str, Path]
) -> None:
    assert running.preinstall(packages[NEW]).returncode == 0
    with pytest.raises((FileNotFoundError, StopIteration)):
        running.lay_down(packages[NEW], only=12) or running._stand_in(running.prefix / "versions" / NEW)
    calls = running.launchctl_calls
    done = running.run(running.script("activate.sh"), NEW, str(running.root))
    assert done.returncode == 1
    assert "not whole" in done.stderr
    assert running.launchctl_calls == calls, "no job was touched"
    is_whole(running, OLD)
    assert running.install(packages[NEW]).returncode == 0
    is_whole(running, NEW)


@pytest.mark.parametrize("harm", ["flip", "cut", "gone"])
def test_a_file_that_is_not_as_it_was_packed_keeps_the_version_from_running(
    running: ScratchMac, packages: dict[str, Path], harm: str
) -> None:
    running.lay_down(packages[NEW])
    victim = running.prefix / "versions" / NEW / "bin" / "litestream"
    body = victim.read_bytes()
    if harm == "gone":
        victim.unlink()
    else:
        victim.write_bytes(body[:-1] if harm == "cut" else bytes([body[0] ^ 1]) + body[1:])
    assert running.run(running.script("activate.sh"), NEW, str(running.root)).returncode == 1
    is_whole(running, OLD)


def test_without_room_nothing_is_laid_down(running: ScratchMac, packages: dict[str, Path]) -> None:
    running.program(running.book / "bin" / "df", "echo Filesystem; echo 'disk1 1000 990 10 99% /'")
    calls = running.launchctl_calls
    done = running.install(packages[NEW])
    assert done.returncode == 1
    assert "must be free, 10 are" in done.stderr
    assert running.launchctl_calls == calls
    assert not (running.prefix / "versions" / NEW).exists()
    is_whole(running, OLD)


FULL = """
set -eu
mount -t tmpfs -o size=4m tmpfs "$1/Library/Prontuario"
cp -a "$2/." "$1/Library/Prontuario/"
dd if=/dev/zero of="$1/Library/Prontuario/filler" bs=4096 2>/dev/null || true
status=0
"$1/Library/Prontuario/current/scripts/activate.sh" "$3" "$1" || status=$?
echo "$status $(readlink "$1/Library/Prontuario/current")"
ls "$1/Library/Prontuario"
rm "$1/Library/Prontuario/filler"
"$1/Library/Prontuario/current/scripts/activate.sh" "$3" "$1"
readlink "$1/Library/Prontuario/current"
"""


def test_on_a_full_disk_nothing_is_touched_and_with_room_again_it_goes_on(
    running: ScratchMac, packages: dict[str, Path], tmp_path: Path
) -> None:
    if subprocess.run(
        ["unshare", "-m", "mount", "-t", "tmpfs", "tmpfs", tmp_path], capture_output=True, check=False
    ).returncode:
        pytest.skip("no mounts of our own here (needs root)")
    running.lay_down(packages[NEW])
    saved = shutil.copytree(running.prefix, tmp_path / "saved", symlinks=True)
    before = len(running.launchctl_calls)
    script = tmp_path / "full.sh"
    script.write_text(f"#!/bin/sh\n{FULL}")
    script.chmod(0o755)
    done = running.run(Path(shutil.which("unshare") or ""), "-m", str(script), str(running.root), str(saved), NEW)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == f"1 versions/{OLD}"
    assert set(lines[1:-1]) == {"current", "filler", "versions"}
    assert "the disk is full; nothing was changed" in done.stderr
    assert lines[-1] == f"versions/{NEW}"
    verbs = [verb for verb, *_ in running.launchctl_calls[before:]]
    assert verbs.count("bootstrap") == len(JOBS), "only the second attempt touched a job"


def test_back_to_the_version_before_and_forth_again(running: ScratchMac, packages: dict[str, Path]) -> None:
    refused = running.run(running.script("activate.sh"), "--back", str(running.root))
    assert (refused.returncode, "no version before" in refused.stderr) == (1, True)
    assert running.install(packages[NEW]).returncode == 0
    for version in (OLD, NEW):
        assert running.run(running.script("activate.sh"), "--back", str(running.root)).returncode == 0
        is_whole(running, version)


def test_the_same_version_again_is_a_repair(running: ScratchMac, packages: dict[str, Path]) -> None:
    (running.prefix / "versions" / OLD / "bin" / "litestream").write_bytes(b"spoilt")
    done = running.install(packages[OLD])
    assert done.returncode == 0, done.stderr
    is_whole(running, OLD)
    assert not (running.prefix / "previous").exists()


def test_a_repair_that_does_not_help_leaves_the_version_where_it_was(
    running: ScratchMac, packages: dict[str, Path]
) -> None:
    """Neither taken away for want of a version before it, nor replaced by one that may not read the database."""
    running.spoil(f"unhealthy-{OLD}")
    done = running.install(packages[OLD])
    assert done.returncode == 5
    assert "prontuario doctor" in done.stderr
    is_whole(running, OLD)
    assert running.install(packages[NEW]).returncode == 0
    running.spoil(f"unhealthy-{NEW}")
    assert running.run(running.script("activate.sh"), NEW, str(running.root)).returncode == 5
    is_whole(running, NEW)


def test_only_one_activation_at_a_time_and_a_dead_one_s_lock_is_taken(
    running: ScratchMac, packages: dict[str, Path]
) -> None:
    running.lay_down(packages[NEW])
    lock = running.prefix / "activating"
    lock.mkdir()
    running.program(running.book / "activate.sh", "read -r end")
    with subprocess.Popen(["sh", running.book / "activate.sh"], stdin=subprocess.PIPE, env={"MAC_BOOK": "/"}) as other:
        (lock / "pid").write_text(str(other.pid))
        refused = running.run(running.script("activate.sh"), NEW, str(running.root))
        assert (refused.returncode, f"process {other.pid}" in refused.stderr) == (1, True)
        assert lock.exists()
    (lock / "pid").write_text(str(os.getpid()))  # after a power loss its number lives again, as somebody else
    assert running.run(running.script("activate.sh"), NEW, str(running.root)).returncode == 0
    is_whole(running, NEW)


def test_a_job_that_never_ends_is_told_and_the_one_before_stays(running: ScratchMac, packages: dict[str, Path]) -> None:
    state = running.book / "launchctl.json"
    state.write_text(state.read_text().replace('"stuck": false', '"stuck": true'))
    assert '"stuck": true' in state.read_text()
    running.lay_down(packages[NEW])
    done = running.run(running.script("activate.sh"), NEW, str(running.root), looks="3")
    assert done.returncode == 5
    assert "br.prontuario.core does not end" in done.stderr
    assert running.current == f"versions/{OLD}"


@pytest.mark.parametrize("words", [(), ("../1.0.0",), ("--now",), ("1", "2", "3"), (".",)])
def test_wrong_usage_of_activate_is_told(installed: ScratchMac, words: tuple[str, ...]) -> None:
    done = installed.run(installed.script("activate.sh"), *words)
    assert (done.returncode, "usage: activate.sh" in done.stderr) == (2, True)


@pytest.mark.parametrize("name", ["activate.sh", "uninstall.sh"])
def test_only_root_may(running: ScratchMac, name: str) -> None:
    running.program(running.book / "bin" / "id", "echo 501")
    done = running.run(running.script(name), *([OLD] if name == "activate.sh" else []))
    assert (done.returncode, "as root" in done.stderr) == (1, True)
    assert running.jobs == JOBS


def test_another_processor_is_refused(mac: ScratchMac, packages: dict[str, Path]) -> None:
    mac.program(mac.book / "bin" / "uname", "echo x86_64")
    done = mac.install(packages[OLD])
    assert (done.returncode, "Apple silicon" in done.stderr) == (1, True)
    assert not mac.prefix.exists()


def test_uninstalling_leaves_the_data_and_nothing_else(running: ScratchMac, packages: dict[str, Path]) -> None:
    (running.book / "receipts").write_text("br.prontuario.appliance.v1_0_0\ncom.apple.pkg.Other\n")
    done = running.run(running.script("uninstall.sh"), str(running.root))
    assert done.returncode == 0, done.stderr
    assert (running.home / "record").exists()
    assert not running.prefix.exists()
    assert running.jobs == set()
    left = {str(path.relative_to(running.root)) for path in running.root.rglob("*") if path.is_file()}
    assert {path for path in left if not path.startswith(("Library/Application Support", "var/log"))} == set()
    assert "pfctl -f /etc/pf.conf" in running.calls
    assert [call for call in running.calls if "--forget" in call] == ["pkgutil --forget br.prontuario.appliance.v1_0_0"]
    assert (running.book / "directory/Users/_prontuario").exists(), "its files still need an owner"
    again = running.install(packages[NEW])
    assert again.returncode == 0, again.stderr
    is_whole(running, NEW)


def test_the_data_goes_only_when_that_was_typed(running: ScratchMac) -> None:
    refused = running.run(running.script("uninstall.sh"), "--delete-data", str(running.root), told="yes\n")
    assert refused.returncode == 1
    is_whole(running, OLD)
    done = running.run(running.script("uninstall.sh"), "--delete-data", str(running.root), told="DELETE THE RECORD\n")
    assert done.returncode == 0, done.stderr
    assert not running.home.exists()
    assert not (running.root / "var/log/prontuario").exists()
    assert not (running.book / "directory/Users/_prontuario").exists()
    assert f"tmutil removeexclusion -p {running.home}" in running.calls


def test_an_uninstall_that_was_killed_is_done_by_the_next(running: ScratchMac) -> None:
    running.kill_at("print")
    assert running.run(running.script("uninstall.sh"), str(running.root)).returncode == -9
    assert running.run(running.script("uninstall.sh"), str(running.root)).returncode == 0
    assert (running.jobs, running.prefix.exists(), running.home.exists()) == (set(), False, True)
