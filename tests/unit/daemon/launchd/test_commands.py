"""``prontuario launchd``: render, lint, load, unload, as a person types them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from appliance.daemon.cli import main
from appliance.daemon.exits import Exit
from appliance.daemon.launchd.loading import load_all, plists_in, unload_all
from appliance.daemon.launchd.render import rendered, write
from appliance.plugin_api.errors import ProntuarioError
from tests.unit.daemon.launchd.parts import ALONE, HOME, PAIR, PaperLaunchd

LABELS = [f"br.prontuario.{name}" for name in ("firewall", "etcd", "vipd", "core", "admin")]


def run(*words: str) -> Result:
    return CliRunner().invoke(main, ["launchd", *words])


@pytest.fixture
def home(tmp_path: Path) -> Path:
    home = tmp_path / "home"
    home.mkdir()
    (home / "prontuario.toml").write_text("[api]\nhost = '0.0.0.0'\n")
    return home


@pytest.fixture
def jobs(tmp_path: Path) -> Path:
    write(rendered(HOME, PAIR), tmp_path / "mac")
    return tmp_path / "mac" / "Library" / "LaunchDaemons"


def test_render_writes_a_tree_and_names_it(home: Path, tmp_path: Path) -> None:
    done = run("render", f"--home={home}", f"--out={tmp_path / 'mac'}")
    assert done.exit_code == 0, done.output
    assert [Path(line).is_file() for line in done.output.split("\n")[:-1]] == [True] * 6
    assert str(home) in (tmp_path / "mac/Library/LaunchDaemons/br.prontuario.core.plist").read_text()


def test_render_tells_machines_path_and_mode(home: Path, tmp_path: Path) -> None:
    done = run("render", f"--home={home}", f"--out={tmp_path / 'mac'}", "--json")
    rows = json.loads(done.output)
    assert {"path": "/etc/pf.anchors/br.prontuario", "mode": "0644"} in rows
    assert all((tmp_path / "mac" / row["path"].lstrip("/")).is_file() for row in rows)


def test_render_takes_another_configuration_and_prefix(home: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.toml"
    other.write_text("[api]\nport = 9999\nhost = '0.0.0.0'\n")
    done = run("render", f"--home={home}", f"--config={other}", "--prefix=/opt/p", f"--out={tmp_path / 'mac'}")
    assert done.exit_code == 0, done.output
    assert "port 9999 " in (tmp_path / "mac/etc/pf.anchors/br.prontuario").read_text()
    assert (
        "/opt/p/current/bin/prontuario" in (tmp_path / "mac/Library/LaunchDaemons/br.prontuario.core.plist").read_text()
    )


def test_a_wrong_configuration_writes_nothing(home: Path, tmp_path: Path) -> None:
    (home / "prontuario.toml").write_text("[api]\nhost = 'a-name'\n")
    done = run("render", f"--home={home}", f"--out={tmp_path / 'mac'}")
    assert done.exit_code == Exit.FAILED
    assert "api.host is a-name" in done.output
    assert not (tmp_path / "mac").exists()


def test_lint_passes_what_is_rendered_and_names_what_is_not(jobs: Path) -> None:
    assert run("lint", *map(str, jobs.glob("*.plist"))).exit_code == 0
    core = jobs / "br.prontuario.core.plist"
    core.write_text(core.read_text().replace("<key>KeepAlive</key>", "<key>KeepAlve</key>"))
    done = run("lint", *map(str, jobs.glob("*.plist")))
    assert done.exit_code == Exit.FAILED
    assert f"{core}: KeepAlve: unknown key" in done.output


def test_load_starts_every_job_and_unload_ends_it(tmp_path: Path, paper: PaperLaunchd) -> None:
    write(rendered(HOME, ALONE), tmp_path)
    folder = tmp_path / "Library" / "LaunchDaemons"
    done = run("load", f"--folder={folder}", f"--launchctl={paper.program}")
    assert done.exit_code == 0, done.output
    assert done.output.split() == ["br.prontuario.firewall", "br.prontuario.core", "br.prontuario.admin"]
    assert paper.running == set(done.output.split())
    paper.set(leaves_after=0)
    assert (
        run("unload", f"--folder={folder}", f"--launchctl={paper.program}").output.split() == done.output.split()[::-1]
    )
    assert paper.state["jobs"] == {}


async def test_load_over_running_jobs_replaces_each(jobs: Path, paper: PaperLaunchd) -> None:
    paper.set(jobs=dict.fromkeys(LABELS), leaves_after=1)
    await load_all(jobs, paper.launchctl)
    assert paper.running == set(LABELS)
    asked = [call for call in paper.calls if not call.startswith("print")]
    assert asked[: len(LABELS)] == [f"bootout {label}" for label in reversed(LABELS)]
    assert [call.removesuffix(".plist") for call in asked if call.startswith("bootstrap")] == [
        f"bootstrap {label}" for label in LABELS
    ]


async def test_one_bad_file_and_nothing_is_touched(jobs: Path, paper: PaperLaunchd) -> None:
    (jobs / "br.prontuario.admin.plist").write_text("no plist")
    with pytest.raises(ProntuarioError, match=r"br\.prontuario\.admin\.plist"):
        await load_all(jobs, paper.launchctl)
    assert paper.calls == []


def test_what_launchctl_refuses_stops_the_loading(jobs: Path) -> None:
    done = run("load", f"--folder={jobs}", "--launchctl=/bin/false")
    assert done.exit_code == Exit.FAILED
    assert "launchctl bootout" in done.output


def test_there_may_be_nothing_to_load(tmp_path: Path, paper: PaperLaunchd) -> None:
    done = run("load", f"--folder={tmp_path}", f"--launchctl={paper.program}")
    assert done.output == "There are no jobs of a node.\n"


def test_jobs_of_others_are_left_alone(jobs: Path, paper: PaperLaunchd) -> None:
    (jobs / "com.apple.x.plist").write_text("not ours")
    assert [path.stem for path in plists_in(jobs)] == LABELS


async def test_unloading_what_is_not_loaded_is_no_error(jobs: Path, paper: PaperLaunchd) -> None:
    assert await unload_all(jobs, paper.launchctl) == LABELS[::-1]


async def test_a_job_whose_file_is_gone_is_taken_away_too(jobs: Path, paper: PaperLaunchd) -> None:
    """The pair became a lone node: launchd still has vipd, and nobody would end it before the next boot."""
    paper.set(jobs={"br.prontuario.vipd": None, "com.apple.x": None}, leaves_after=1)
    (jobs / "br.prontuario.vipd.plist").unlink()
    await load_all(jobs, paper.launchctl)
    assert paper.running == {*LABELS, "com.apple.x"} - {"br.prontuario.vipd"}
