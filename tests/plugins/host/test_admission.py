"""Third-party plugins on disk: what is admitted, and what it may do then."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from appliance.plugin_host.admission import newest_first
from appliance.plugin_host.discovery import from_entry_points
from appliance.plugin_host.host import PluginHost, PluginReport

pytestmark = pytest.mark.usefixtures("unpolluted_path")
TOML = (
    'disabled_plugins = ["whisper_stt", "medgemma_chat", "medical_images", "facenet_auth", "gcp_sync",'
    ' "speech_out", "document_reader"]\n'
)
GREEDY = """
from appliance.plugin_api.hooks import *
from appliance.plugin_api.engine import EngineSpec
from appliance.plugin_api.http import Reply, Route

async def answer(request):
    return Reply(body="hello")

class Cloud:
    def configured(self):
        return True

async def run(payload):
    return None

class Greedy:
    {hook}

plugin = Greedy()
"""


def stranger(make_host: Callable[..., PluginHost], toml: str = TOML) -> PluginReport:
    host = make_host(toml)
    host.load()
    return next(row for row in host.report() if row.name == "stranger")


async def test_a_harmless_stranger_is_admitted_in_development(make_host: Any, install_stranger: Any) -> None:
    install_stranger()
    assert stranger(make_host).state == "active"


async def test_a_missing_folder_of_plugins_is_no_error(make_host: Any, home: Path) -> None:
    (home / "plugins").rmdir()
    host = make_host(TOML)
    host.load()
    assert {row.first_party for row in host.report()} == {True}


@pytest.mark.parametrize(
    "fault",
    [
        {"manifest": ""},
        {"manifest": "name = \n"},
        {"manifest": 'name="stranger"\nversion="1.0"\nwishes=["all"]\n'},
        {"manifest": 'name="stranger"\nversion="1.0"\npermissions=["root"]\n'},
        {"manifest": 'name="stranger"\nversion="1.0"\npermissions=["provide:mind_reading"]\n'},
        {"manifest": 'name="stranger"\nversion="2.0"\n'},
        {"manifest": 'name="Stranger!"\nversion="1.0"\n'},
        {"entry_points": ""},
        {"entry_points": "[prontuario.plugins]\nother = stranger:plugin\n"},
        {"entry_points": "[prontuario.plugins]\nstranger = stranger:plugin\nsecond = stranger:plugin\n"},
        {"entry_points": "[prontuario.plugins]\nstranger = stranger:missing\n"},
        {"entry_points": "[prontuario.plugins]\nstranger = json:loads\n"},
        {"code": "raise RuntimeError('boom')"},
        {"code": "import sys; sys.exit(1)"},
        {"code": "this is not python"},
    ],
    ids=lambda fault: str(fault)[:60],
)
async def test_a_stranger_that_is_not_what_it_should_be_is_set_aside(
    make_host: Any, install_stranger: Any, fault: dict[str, str]
) -> None:
    install_stranger(**fault)
    row = stranger(make_host)
    assert row.state == "quarantined"
    assert row.reason


async def test_only_the_newest_version_is_loaded(make_host: Any, install_stranger: Any) -> None:
    install_stranger(version="1.9")
    install_stranger(version="1.10")
    host = make_host(TOML)
    host.load()
    states = {row.version: row.state for row in host.report() if row.name == "stranger"}
    assert states == {"1.10": "active", "1.9": "disabled"}


def test_versions_are_compared_as_numbers() -> None:
    names = ["x-1.9.0", "x-1.10.0", "x-0.99", "x-2.0"]
    ordered = sorted(map(Path, names), key=newest_first)
    assert [folder.name for folder in ordered] == ["x-2.0", "x-1.10.0", "x-1.9.0", "x-0.99"]


WISHES = {
    "engines": "@hookimpl\n    def register_engines(self):\n        return [EngineSpec('stranger', 'stranger:Engine')]",
    "jobs": "@hookimpl\n    def register_jobs(self):\n        return [Job('stranger.run', run)]",
    "permissions": "@hookimpl\n    def register_permissions(self):\n"
    "        return [Permission('stranger.use', '', frozenset({'nurse'}))]",
    "provide:cloud_sync": "@hookimpl\n    def register_providers(self):\n"
    "        return [Provider('cloud_sync', 'stranger', Cloud())]",
    "routes": "@hookimpl\n    def register_routes(self):\n"
    "        return [Route('GET', '/api/plugins/stranger/x', 'self', answer, '')]",
}


@pytest.mark.parametrize("wish", WISHES)
async def test_it_gets_what_its_manifest_asks_for_and_nothing_else(
    make_host: Any, install_stranger: Any, wish: str
) -> None:
    code = GREEDY.replace("{hook}", WISHES[wish])
    target = install_stranger(code)
    row = stranger(make_host)
    assert row.state == "quarantined"
    assert repr(wish) in row.reason
    (target / "prontuario-plugin.toml").write_text(f'name="stranger"\nversion="1.0"\npermissions=["{wish}"]\n')
    assert stranger(make_host).state == "active"


async def test_a_route_may_use_the_appliances_permissions_only_if_asked(make_host: Any, install_stranger: Any) -> None:
    code = GREEDY.replace("{hook}", WISHES["routes"].replace("'self'", "'note.sign'"))
    target = install_stranger(code, permissions='["routes"]')
    assert "'route:note.sign'" in stranger(make_host).reason
    manifest = 'name="stranger"\nversion="1.0"\npermissions=["routes", "route:note.sign"]\n'
    (target / "prontuario-plugin.toml").write_text(manifest)
    assert stranger(make_host).state == "active"


@pytest.mark.parametrize("asked", [True, False])
async def test_the_record_is_open_only_to_who_asked_for_it(make_host: Any, install_stranger: Any, asked: bool) -> None:
    hook = (
        "@hookimpl\n    def register_jobs(self, store):\n"
        "        async def read(payload):\n"
        "            payload['found'] = await store.read(lambda q: q.one('SELECT 42')[0])\n"
        "        return [Job('stranger.run', read)]"
    )
    permissions = '["jobs", "store"]' if asked else '["jobs"]'
    install_stranger(GREEDY.replace("{hook}", hook), permissions=permissions)
    host = make_host(TOML)
    host.load()
    (job,) = host.jobs()
    seen: dict[str, object] = {}
    if asked:
        await job.run(seen)
        assert seen == {"found": 42}
    else:
        with pytest.raises(PermissionError, match="store"):
            await job.run(seen)


def test_a_stranger_in_the_appliances_own_environment_is_for_development_only() -> None:
    entry = importlib.metadata.EntryPoint("stranger", "json:loads", "prontuario.plugins")
    assert from_entry_points([entry], development=True)[0].obstacle == ""
    assert "plugins" in from_entry_points([entry], development=False)[0].obstacle
    assert not from_entry_points([entry], development=True)[0].first_party
