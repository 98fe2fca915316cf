"""The abilities that are not built yet say so, and pretend nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pluggy
import pytest

from appliance.plugin_api.hooks import PROJECT, PluginContext, PluginSpec
from plugins.gcp_sync.plugin import plugin as cloud

PLUGINS: dict[str, Any] = {"gcp_sync": cloud}
FULL: dict[str, dict[str, object]] = {
    "gcp_sync": {"bucket": "hospital", "credentials": "/keys/cloud.json"},
}
PARTS = [(name, dict(list(full.items())[:count])) for name, full in FULL.items() for count in range(len(full) + 1)]


def context(name: str, settings: dict[str, object], folder: Path) -> PluginContext:
    config = msgspec.convert(settings, PLUGINS[name].config_schema())
    return PluginContext(name, config, folder / "data", folder / "models")


@pytest.mark.parametrize(("name", "settings"), PARTS)
async def test_health_names_what_is_missing_and_the_next_step(
    name: str, settings: dict[str, object], tmp_path: Path
) -> None:
    (check,) = PLUGINS[name].register_health_checks(context(name, settings, tmp_path))
    health = await check.check()
    assert check.name == name
    assert health.status == "not_configured"
    assert health.message
    assert f"plugins.{name}." in health.advice


async def test_each_step_of_the_configuration_has_an_advice_of_its_own(tmp_path: Path) -> None:
    for name in FULL:
        advices = []
        for plugin, settings in PARTS:
            if plugin == name:
                (check,) = PLUGINS[name].register_health_checks(context(name, settings, tmp_path))
                advices.append((await check.check()).advice)
        assert len(set(advices)) == len(advices)


@pytest.mark.parametrize("name", sorted(PLUGINS))
def test_nothing_is_offered(name: str) -> None:
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(PluginSpec)
    manager.register(PLUGINS[name], name)
    manager.check_pending()
    registered = {caller.name for caller in manager.get_hookcallers(PLUGINS[name]) or []}
    assert registered == {"config_schema", "register_health_checks"}


@pytest.mark.parametrize("name", sorted(PLUGINS))
def test_an_unknown_setting_is_refused(name: str) -> None:
    with pytest.raises(msgspec.ValidationError, match="unknown"):
        msgspec.convert({"unknown": 1}, PLUGINS[name].config_schema())
