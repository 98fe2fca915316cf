"""The tutorial names everything that there is, and nothing that there is not."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from appliance.plugin_api import testing
from appliance.plugin_api.capabilities import CAPABILITIES
from appliance.plugin_api.engine import Engine
from appliance.plugin_api.hooks import PluginSpec
from appliance.plugin_host.manifest import _PLAIN

ROOT = Path(__file__).parents[3]
TEXT = (ROOT / "docs" / "plugins.md").read_text(encoding="utf-8")
HOOKS = sorted(name for name in vars(PluginSpec) if not name.startswith("_"))


@pytest.mark.parametrize("hook", HOOKS)
def test_every_hook_is_told(hook: str) -> None:
    assert re.search(rf"\| `{hook}\(", TEXT)


@pytest.mark.parametrize("capability", sorted(CAPABILITIES))
def test_every_capability_is_told(capability: str) -> None:
    assert re.search(rf"\| `{capability}` \| `{CAPABILITIES[capability].__name__}` \|", TEXT)


def test_no_hook_is_told_that_does_not_exist() -> None:
    told = re.findall(r"^\| `(\w+)\(", TEXT, re.MULTILINE)
    assert sorted(told) == HOOKS


@pytest.mark.parametrize("permission", sorted(_PLAIN))
def test_every_permission_of_a_manifest_is_told(permission: str) -> None:
    assert f"`{permission}`" in TEXT


@pytest.mark.parametrize("name", [name for name in vars(Engine) if not name.startswith("_")])
def test_every_method_of_an_engine_is_told(name: str) -> None:
    assert f"`{name}(" in TEXT


@pytest.mark.parametrize("name", testing.__all__)
def test_the_conformance_kit_is_told(name: str) -> None:
    assert name in TEXT or name == "EngineFailedError"


def test_every_path_it_names_is_there() -> None:
    for path in re.findall(r"`(docs/[\w/]+)`?", TEXT):
        assert (ROOT / path).exists(), path
