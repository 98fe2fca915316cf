"""The parts of ``prontuario.toml`` that concern plugins: names that exist, tables of the right shape."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from appliance.config.load import ConfigError, decode
from appliance.config.model import Config
from appliance.plugin_api.capabilities import CAPABILITIES
from appliance.plugin_host.abilities import Offer
from appliance.plugin_host.errors import QuarantineError


def check_names(config: Config, path: Path, plugins: Collection[str]) -> None:
    """Tables, capabilities and disabled plugins must be ones that exist.

    Raises:
        ConfigError: with the nearest known name.
    """
    for name in config.plugins:
        _demand_known(path, f"[plugins.{name}]", name, plugins)
    for name in config.disabled_plugins:
        _demand_known(path, "disabled_plugins", name, plugins)
    for capability in config.capabilities:
        _demand_known(path, "[capabilities]", capability, CAPABILITIES)


def check_order(
    order: Mapping[str, Sequence[str]], path: Path, offers: Sequence[Offer], known: Collection[str]
) -> None:
    """Names in ``[capabilities]`` must be providers or plugins (also one that is disabled or quarantined now).

    Raises:
        ConfigError: with the nearest known name.
    """
    for capability, names in order.items():
        able = [name for offer in offers if offer.provider.capability == capability for name in offer.names]
        for name in names:
            if name.split(".")[0] not in known:
                _demand_known(path, f"capabilities.{capability}", name, able)


def _demand_known(path: Path, where: str, name: str, known: Collection[str]) -> None:
    if name in known:
        return
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.4)
    hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(sorted(known)) or 'none'}"
    raise ConfigError(f"{path}: {where}: unknown name {name!r}; {hint}")


def plugin_config(name: str, schema: Any, table: Mapping[str, Any] | None, path: Path, text: str) -> Any:
    """The plugin's own table in its own shape; None for a plugin that takes no configuration.

    Raises:
        ConfigError: the table is wrong (file, line, nearest key).
        QuarantineError: the schema itself is.
    """
    if schema is None:
        if table:
            raise ConfigError(f"{path}: [plugins.{name}]: this plugin takes no configuration")
        return None
    if not (isinstance(schema, type) and issubclass(schema, msgspec.Struct)):
        raise QuarantineError("config_schema must return a msgspec Struct type")
    if not schema.__struct_config__.forbid_unknown_fields:
        raise QuarantineError("its config schema must set forbid_unknown_fields=True")
    return decode(dict(table or {}), schema, path=path, text=text, prefix=("plugins", name))
