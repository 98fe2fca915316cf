"""Whatever a plugin does wrong is its own misfortune: a reason is shown, and the healthy one beside it works."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from appliance.config import ConfigError
from appliance.daemon.record import STANDBY
from appliance.plugin_api.engine import EngineSpec
from appliance.plugin_api.errors import ProntuarioError
from appliance.plugin_api.hooks import AdminPage, HealthCheck, Job, Permission, Provider, hookimpl
from appliance.plugin_api.http import PUBLIC, Reply, Route, WebSocketRoute
from appliance.plugin_host.host import PluginHost, PluginReport

ECHO = "appliance.plugin_api.testing.echo_engine:EchoEngine"
MakeHost = Callable[..., PluginHost]


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    greeting: str = "bom dia"
    volume: int = 3


async def nothing(_anything: Any) -> Reply:
    return Reply(body="fine")


class Healthy:
    @hookimpl
    def config_schema(self) -> type:
        return Settings

    @hookimpl
    def register_routes(self, context: Any) -> list[Route]:
        return [Route("GET", f"/api/plugins/{context.name}/hello", PUBLIC, nothing, "Say hello")]


def hook(name: str, answer: Any) -> Any:
    """A plugin whose hook ``name`` returns ``answer``, or raises it."""

    def implementation(self: Any) -> Any:
        if isinstance(answer, BaseException):
            raise answer
        return answer

    implementation.__name__ = name
    return type("Broken", (), {name: hookimpl(implementation)})()


def raising(error: BaseException) -> Callable[[], Any]:
    def load() -> Any:
        raise error

    return load


def rows(host: PluginHost) -> dict[str, PluginReport]:
    return {row.name: row for row in host.report()}


class Loose(msgspec.Struct):
    anything: int = 1


async def run_job(_payload: Any) -> None:
    return None


async def check() -> Any:
    return None


ROUTE = Route("GET", "/api/plugins/broken/x", "p", nothing, "")
BROKEN = {
    "an import error": raising(ImportError("no module named torch")),
    "an exit at import": raising(SystemExit(3)),
    "no hooks": object(),
    "an unknown hook": hook("register_enginse", []),
    "an unknown argument": type("P", (), {"startup": hookimpl(lambda self, kontext: None)})(),
    "a schema that is no struct": hook("config_schema", dict),
    "a schema that takes anything": hook("config_schema", Loose),
    "a raising hook": hook("register_routes", RuntimeError("boom")),
    "an exiting hook": hook("register_jobs", SystemExit(1)),
    "text instead of a list": hook("register_routes", "routes"),
    "a number instead of a list": hook("register_engines", 3),
    "the wrong things in a list": hook("register_engines", [{"name": "x"}]),
    "an unknown capability": hook("register_providers", [Provider("mind_reading", "x", object())]),
    "a provider without methods": hook("register_providers", [Provider("chat_model", "x", object())]),
    "a route elsewhere": hook("register_routes", [Route("GET", "/fhir/R4/Patient", PUBLIC, nothing, "")]),
    "a route of another plugin": hook("register_routes", [Route("GET", "/api/plugins/healthy/x", PUBLIC, nothing, "")]),
    "a route beside its prefix": hook("register_routes", [Route("GET", "/api/plugins/brokenx/x", PUBLIC, nothing, "")]),
    "a route without a permission": hook("register_routes", [Route("GET", "/api/plugins/broken/x", "", nothing, "")]),
    "a route twice": hook("register_routes", [ROUTE, ROUTE]),
    "a socket elsewhere": hook("register_routes", [WebSocketRoute("/ws", PUBLIC, nothing, "")]),
    "somebody else's permission": hook("register_permissions", [Permission("note.sign", "", frozenset({"nurse"}))]),
    "somebody else's job": hook("register_jobs", [Job("dictation.transcribe", run_job)]),
    "somebody else's check": hook("register_health_checks", [HealthCheck("store", check)]),
    "somebody else's page": hook("register_admin_pages", [AdminPage("audit", "a", "a")]),
    "an engine without a factory": hook("register_engines", [EngineSpec("broken", "nowhere")]),
    "an engine without a queue": hook("register_engines", [EngineSpec("broken", ECHO, queue_limit=0)]),
    "two engines of one name": hook("register_engines", [EngineSpec("twin", ECHO), EngineSpec("twin", ECHO)]),
}


@pytest.mark.parametrize("fault", BROKEN)
async def test_a_broken_plugin_is_set_aside_and_the_healthy_one_works(make_host: MakeHost, fault: str) -> None:
    host = make_host(plugins={"broken": BROKEN[fault], "healthy": Healthy()})
    host.load()
    assert rows(host)["broken"].state == "quarantined"
    assert rows(host)["broken"].reason
    assert rows(host)["healthy"].state == "active"
    assert [route.path for route in host.routes() if isinstance(route, Route)] == ["/api/plugins/healthy/hello"]
    assert [host.jobs(), host.health_checks(), host.admin_pages(), host.permissions()] == [[], [], [], []]


async def test_an_import_that_hangs_is_given_up(make_host: MakeHost) -> None:
    release = threading.Event()
    host = make_host(plugins={"hanging": release.wait, "healthy": Healthy()}, import_limit_s=0.2)
    host.load()
    release.set()
    assert "within 0.2 s" in rows(host)["hanging"].reason
    assert rows(host)["healthy"].state == "active"


async def test_an_engine_name_that_is_taken_sets_the_second_plugin_aside(make_host: MakeHost) -> None:
    spec = [EngineSpec("same", ECHO)]
    host = make_host(plugins={"first": hook("register_engines", spec), "second": hook("register_engines", spec)})
    host.load()
    assert rows(host)["first"].state == "active"
    assert "'same'" in rows(host)["second"].reason


async def test_two_plugins_of_one_name_keep_the_first(make_host: MakeHost, as_candidate: Any) -> None:
    host = make_host(candidates=[as_candidate("twin", Healthy()), as_candidate("twin", Healthy(), first_party=False)])
    host.load()
    assert sorted((row.first_party, row.state) for row in host.report()) == [(False, "quarantined"), (True, "active")]


async def test_a_disabled_plugin_is_not_even_imported(make_host: MakeHost) -> None:
    host = make_host('disabled_plugins = ["broken"]\n', plugins={"broken": raising(AssertionError("imported"))})
    host.load()
    assert rows(host)["broken"].state == "disabled"


# -- hooks that run while the node does ---------------------------------------------------------------------------------
@pytest.mark.parametrize("kind", ["raises", "exits", "hangs", "blocks", "raises later"])
async def test_a_startup_that_fails_sets_the_running_plugin_aside(make_host: MakeHost, kind: str) -> None:
    release = threading.Event()

    async def later() -> None:
        raise RuntimeError("late boom")

    class Faulty(Healthy):
        @hookimpl
        def startup(self) -> Any:
            if kind == "raises":
                raise RuntimeError("boom")
            if kind == "exits":
                sys.exit(1)
            if kind == "blocks":
                release.wait()
            return {"hangs": lambda: asyncio.sleep(3600), "raises later": later}.get(kind, lambda: None)()

    host = make_host(plugins={"faulty": Faulty(), "healthy": Healthy()}, hook_limit_s=0.3)
    host.load()
    routes = {route.path: route for route in host.routes() if isinstance(route, Route)}
    await host.start()
    release.set()
    assert rows(host)["faulty"].state == "quarantined"
    assert rows(host)["faulty"].reason.startswith("startup: ")
    with pytest.raises(ProntuarioError) as closed:
        await routes["/api/plugins/faulty/hello"].handler(None)
    assert closed.value.kind.code == "plugin.unavailable"
    assert (await routes["/api/plugins/healthy/hello"].handler(None)).body == "fine"
    await host.stop(0.0)


async def test_startup_shutdown_and_role_are_told_in_order(make_host: MakeHost) -> None:
    told: list[str] = []

    class Listener:
        @hookimpl
        async def startup(self, context: Any) -> None:
            told.append(f"startup {context.name}")

        @hookimpl
        def role_changed(self, role: str) -> None:
            told.append(role)

        @hookimpl
        def shutdown(self, context: Any) -> None:
            told.append(f"shutdown {context.data_dir.name}")

    host = make_host(plugins={"listener": Listener()})
    host.load()
    await host.start()
    await host.role_changed("standby")
    await host.stop(0.0)
    assert told == ["startup listener", "standby", "shutdown listener"]


async def test_a_startup_that_needs_the_record_waits_until_the_node_leads(make_host: MakeHost) -> None:
    told: list[str] = []
    here = False

    class Writing(Healthy):
        @hookimpl
        async def startup(self) -> None:
            told.append("startup")
            if not here:
                raise STANDBY(primary="10.0.0.2:8443", retry_after=1.0)

        @hookimpl
        def role_changed(self, role: str) -> None:
            told.append(role)

    host = make_host(plugins={"writing": Writing()})
    host.load()
    await host.start()
    assert rows(host)["writing"].state == "active", "a standby is no place of quarantine"
    assert "waits until this node leads" in rows(host)["writing"].reason
    await host.role_changed("standby")
    here = True
    await host.role_changed("primary")
    assert rows(host)["writing"].reason == ""
    await host.role_changed("fenced")
    await host.role_changed("primary")
    assert told == ["startup", "startup", "primary", "fenced", "primary"], "once it ended well it is not called again"
    await host.stop(0.0)


async def test_a_startup_that_fails_once_the_record_is_here_is_quarantined_then(make_host: MakeHost) -> None:
    failures = [STANDBY(primary="?", retry_after=1.0), RuntimeError("boom")]

    class Writing(Healthy):
        @hookimpl
        def startup(self) -> None:
            raise failures.pop(0)

    host = make_host(plugins={"writing": Writing()})
    host.load()
    await host.start()
    assert rows(host)["writing"].state == "active"
    await host.role_changed("primary")
    assert (rows(host)["writing"].state, rows(host)["writing"].reason) == (
        "quarantined", "startup: RuntimeError: boom",
    )  # fmt: skip
    await host.stop(0.0)


async def test_a_shutdown_that_hangs_does_not_keep_the_node_from_stopping(make_host: MakeHost) -> None:
    class Clinging(Healthy):
        @hookimpl
        async def shutdown(self) -> None:
            await asyncio.sleep(3600)

    host = make_host(plugins={"clinging": Clinging()}, hook_limit_s=0.2)
    host.load()
    await host.start()
    async with asyncio.timeout(30):
        await host.stop(0.0)


async def test_engines_of_a_plugin_that_fails_at_startup_are_ended(make_host: MakeHost) -> None:
    class Faulty:
        @hookimpl
        def register_engines(self) -> list[EngineSpec]:
            return [EngineSpec("faulty", ECHO)]

        @hookimpl
        def startup(self) -> None:
            raise RuntimeError("boom")

    host = make_host(plugins={"faulty": Faulty()})
    host.load()
    await host.start()
    assert [row.status for row in host._work.fleet.report()] == ["stopped"]


# -- configuration --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("toml", "line", "hint"),
    [
        ('[plugins.healthy]\ngreting = "oi"\n', ":2:", "'greeting'"),
        ('[plugins.healthy]\n\nvolume = "loud"\n', ":3:", "volume"),
        ("[plugins.helthy]\nvolume = 1\n", "", "'healthy'"),
        ('disabled_plugins = ["helthy"]\n', "", "'healthy'"),
        ('[capabilities]\nchat_modle = ["healthy"]\n', "", "'chat_model'"),
        ('[capabilities]\nchat_model = ["nobody"]\n', "", "nobody"),
    ],
)
async def test_a_mistake_in_the_configuration_stops_the_start_and_tells_where(
    make_host: MakeHost, toml: str, line: str, hint: str
) -> None:
    host = make_host(toml, plugins={"healthy": Healthy()})
    with pytest.raises(ConfigError) as error:
        host.load()
    assert f"prontuario.toml{line}" in str(error.value)
    assert hint in str(error.value)


async def test_a_table_for_a_plugin_without_configuration_stops_the_start(make_host: MakeHost) -> None:
    host = make_host("[plugins.plain]\nx = 1\n", plugins={"plain": hook("startup", None)})
    with pytest.raises(ConfigError, match="takes no configuration"):
        host.load()


async def test_a_strangers_wrong_table_sets_only_the_stranger_aside(make_host: MakeHost, as_candidate: Any) -> None:
    candidates = [as_candidate("healthy", Healthy()), as_candidate("stranger", Healthy(), first_party=False)]
    host = make_host("[plugins.stranger]\nnope = 1\n", candidates=candidates)
    host.load()
    assert rows(host)["healthy"].state == "active"
    assert "nope" in rows(host)["stranger"].reason


async def test_a_plugin_gets_its_own_settings_and_a_private_folder(make_host: MakeHost, home: Path) -> None:
    seen: list[Any] = []

    class Curious(Healthy):
        @hookimpl
        def register_jobs(self, context: Any) -> list[Job]:
            seen.append(context)
            return [Job("curious.tidy", run_job)]

    host = make_host("[plugins.curious]\nvolume = 11\n", plugins={"curious": Curious()})
    host.load()
    assert seen[0].config == Settings(volume=11)
    assert seen[0].data_dir.is_relative_to(home)
    assert seen[0].data_dir.stat().st_mode & 0o077 == 0
    assert [job.kind for job in host.jobs()] == ["curious.tidy"]
