"""What a bench's new version is: each change still finds its place in our code, and does to it what it says."""

from __future__ import annotations

import ast
import importlib.util
import shutil
import sys
from pathlib import Path
from types import ModuleType

import pytest
from pkgmake.package import write_package

from appliance.cluster.peer_messages import OLDEST_PROTOCOL, PROTOCOL
from appliance.operations.updates.fitness import check_schema
from appliance.store.migrate import known_migrations
from bench.mac_installer import install
from bench.pair_update_rehearsal import SCENARIOS
from bench.pair_update_versions import (
    ROOT,
    both,
    dead_on_arrival,
    found_programs,
    mute,
    unchanged,
    with_migration,
    with_newer_protocol,
)
from tests.fakes.updates import manifest, schema

MESSAGES = "appliance/cluster/peer_messages.py"
CONSULT = "appliance/daemon/updates/consult.py"
CORE = "appliance/daemon/core.py"
MIGRATIONS = "appliance/store/migrations"


@pytest.fixture
def packages(tmp_path: Path) -> Path:
    """As much of our code as changes touch."""
    for name in (MESSAGES, CONSULT, CORE):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, tmp_path / name)
    shutil.copytree(ROOT / MIGRATIONS, tmp_path / MIGRATIONS, ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def loaded(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"changed_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
    finally:
        del sys.modules[spec.name]
    return module


def texts(packages: Path) -> dict[str, str]:
    return {str(one.relative_to(packages)): one.read_text() for one in packages.rglob("*") if one.is_file()}


def test_the_higher_schema_is_one_that_the_version_before_can_read(packages: Path) -> None:
    with_migration(packages)
    here, there = known_migrations(), known_migrations(packages / MIGRATIONS)
    assert len(there) == len(here) + 1
    assert there[-1].readable_by == here[-1].number
    check_schema(manifest(schema=schema(*there)), here)


def test_tomorrow_s_protocol_is_newer_and_today_s_is_still_spoken(packages: Path) -> None:
    with_newer_protocol(packages)
    tomorrow = loaded(packages / MESSAGES)
    assert (tomorrow.PROTOCOL, tomorrow.OLDEST_PROTOCOL) == (PROTOCOL + 1, OLDEST_PROTOCOL)


def test_a_dead_core_ends_when_it_is_loaded(packages: Path) -> None:
    dead_on_arrival(packages)
    last = ast.parse((packages / CORE).read_text()).body[-1]
    with pytest.raises(SystemExit, match="ends at once"):  # its last statement, without all its imports
        exec(compile(ast.Module([last], []), CORE, "exec"), {})


def test_a_mute_version_finds_every_consult_wanting(packages: Path) -> None:
    mute(packages)
    assert "nothing was heard" in loaded(packages / CONSULT).fault_of(None)


def test_changes_touch_nothing_else(packages: Path) -> None:
    before = texts(packages)
    unchanged(packages)
    assert texts(packages) == before
    both(with_migration, with_newer_protocol)(packages)
    after = texts(packages)
    assert {name for name in after if after[name] != before.get(name)} == {
        MESSAGES,
        f"{MIGRATIONS}/{len(known_migrations()) + 1:04}_bench_of_updates.sql",
    }


def test_a_change_whose_place_has_moved_says_so(packages: Path) -> None:
    (packages / MESSAGES).write_text("nothing of it\n")
    with pytest.raises(ValueError, match="no longer holds"):
        with_newer_protocol(packages)


def test_every_scenario_that_strikes_says_when_and_those_that_fail_change_something() -> None:
    for scenario in SCENARIOS.values():
        assert (scenario.mishap is None) == (scenario.strikes == "")
        assert scenario.arrives or scenario.change is not unchanged


def test_a_program_that_is_not_there_is_named() -> None:
    with pytest.raises(FileNotFoundError, match="no-such-program"):
        found_programs(["no-such-program"])


SCRIPT = '#!/bin/sh\necho {name} "$3" >>"$3/said"\nexit {status}\n'


@pytest.mark.parametrize(("first", "last", "status", "said"), [(0, 0, 0, 2), (0, 3, 3, 2), (1, 0, 1, 1)])
def test_the_installer_runs_before_lays_down_and_runs_after(
    tmp_path: Path, first: int, last: int, status: int, said: int
) -> None:
    scripts, tree = tmp_path / "scripts", tmp_path / "tree"
    (tree / "versions" / "9.9.9" / "bin").mkdir(parents=True)
    (tree / "versions" / "9.9.9" / "bin" / "tool").write_text("tool")
    (tree / "versions" / "9.9.9" / "bin" / "link").symlink_to("tool")
    scripts.mkdir()
    for name, code in (("preinstall", first), ("postinstall", last)):
        (scripts / f"{name}.sh").write_text(SCRIPT.format(name=name, status=code))
    write_package(tree, scripts, "9.9.9", tmp_path / "it.pkg")
    target = tmp_path / "target"
    (target / "Library" / "Prontuario").mkdir(parents=True)
    assert install(tmp_path / "it.pkg", target) == status
    assert len((target / "said").read_text().splitlines()) == said
    laid = target / "Library" / "Prontuario" / "versions" / "9.9.9" / "bin"
    assert laid.exists() == (first == 0)
    if first == 0:
        assert (laid / "link").read_text() == "tool"
