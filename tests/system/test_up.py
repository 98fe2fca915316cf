"""``prontuario up`` as an operator meets it: ready line, drain, restart, kill."""

import json
import os
import signal
import time
from pathlib import Path

import psutil
import pytest
from click.testing import CliRunner

from appliance.daemon.cli import main
from tests.conftest import command, http_client, start_node, stop_node, wait_ready

pytestmark = [pytest.mark.system, pytest.mark.timeout(300), pytest.mark.xdist_group("node")]


def descendants(pid: int) -> list[psutil.Process]:
    return psutil.Process(pid).children(recursive=True)


def test_a_node_starts_refuses_a_second_one_drains_and_leaves_nothing_behind(tmp_path: Path) -> None:
    home = tmp_path / "home"
    process = start_node(home)
    ready = wait_ready(process, tmp_path / "home.stderr")
    try:
        assert set(ready) == {"api", "admin", "ca", "home", "pid"}
        assert ready["pid"] == process.pid
        assert Path(ready["home"]) == home
        children = descendants(process.pid)
        assert len(children) >= 4  # core, litestream and its leash, dashboard
        second = command("up", "--home", str(home), "--port-base", "0", check=False)
        assert (second.returncode, "already serves" in second.stderr) == (4, True), "its own exit code"
    finally:
        assert stop_node(process) == 0
    _, alive = psutil.wait_procs(children, timeout=10)
    assert alive == []


def test_what_was_acknowledged_is_there_after_kill_9_of_core(tmp_path: Path) -> None:
    home = tmp_path / "home"
    process = start_node(home, "--no-admin")
    try:
        wait_ready(process, tmp_path / "home.stderr")
        command(
            "client",
            "enrol",
            "--home",
            str(home),
            "--user",
            "enf",
            "--role",
            "nurse",
            "--out",
            str(tmp_path / "c.json"),
        )
        client = json.loads((tmp_path / "c.json").read_text())
        patient = {"resourceType": "Patient", "name": [{"family": "Resistente"}]}
        with http_client(client) as http:
            ids = [http.post("/fhir/R4/Patient", json=patient).json()["id"] for _ in range(5)]
        first = int((home / "run" / "core.pid").read_text())
        os.kill(first, signal.SIGKILL)
        deadline = time.monotonic() + 90
        while time.monotonic() < deadline:
            again = command("client", "enrol", "--home", str(home), "--user", "enf", "--role", "nurse",
                            "--out", str(tmp_path / "d.json"), check=False)  # fmt: skip
            if again.returncode == 0:
                break
        with http_client(json.loads((tmp_path / "d.json").read_text())) as http:
            assert [http.get(f"/fhir/R4/Patient/{one}").status_code for one in ids] == [200] * 5
            assert int((home / "run" / "core.pid").read_text()) != first
    finally:
        assert stop_node(process) == 0


def test_kill_9_of_up_itself_takes_everything_with_it(tmp_path: Path) -> None:
    process = start_node(tmp_path / "home")
    wait_ready(process, tmp_path / "home.stderr")
    children = descendants(process.pid)
    process.kill()
    process.wait()
    assert process.stdout is not None
    process.stdout.close()
    _, alive = psutil.wait_procs(children, timeout=60)
    assert alive == []


def test_a_mistyped_key_stops_the_start_with_file_line_and_nearest_key(tmp_path: Path) -> None:
    home = tmp_path / "home"
    command("init", "--home", str(home), "--profile", "development")
    with (home / "prontuario.toml").open("a") as file:
        file.write("\n[api]\nprot = 9000\n")
    done = command("up", "--home", str(home), "--port-base", "0", check=False)
    assert done.returncode == 3
    assert "prontuario.toml:9: unknown key 'api.prot'; did you mean 'port'?" in done.stderr


def test_every_command_explains_itself() -> None:
    def helped(*path: str) -> str:
        return CliRunner().invoke(main, [*path, "--help"], catch_exceptions=False).output

    top = command("--help").stdout
    for name in ("init", "up", "core", "admin", "doctor", "client", "models", "backup", "version", "demo"):
        assert f"  {name} " in top
        assert len(helped(name)) > 150
    assert "Exit codes" in top
    assert "--valid-hours" in helped("client", "enrol")
    assert "--at" in helped("backup", "restore")


def test_versions_are_told_for_machines() -> None:
    rows = json.loads(command("version", "--json").stdout)
    assert rows["prontuario"] == "0.1.0"
    assert tuple(map(int, rows["sqlite"].split("."))) > (3, 51, 2)


def test_commands_that_need_a_node_say_that_none_runs(tmp_path: Path) -> None:
    done = command("models", "list", "--home", str(tmp_path), check=False)
    assert done.returncode == 6
    assert "No node is running" in done.stderr
