"""A third-party plugin gets what its manifest asks for, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from appliance.plugin_api.engine import EngineSpec
from appliance.plugin_api.http import SELF
from appliance.plugin_api.storage import Query, Store, Transaction
from appliance.plugin_host.errors import QuarantineError
from appliance.plugin_host.manifest import Manifest
from appliance.plugin_host.registrations import Registrations

T = TypeVar("T")


class NoStore:
    """The store of a plugin that did not ask for one."""

    async def write(self, change: Callable[[Transaction], T]) -> T:
        """Refuse."""
        raise _not_asked(change)

    async def read(self, query: Callable[[Query], T]) -> T:
        """Refuse."""
        raise _not_asked(query)


def _not_asked(work: Callable[..., object]) -> PermissionError:
    name = getattr(work, "__qualname__", "work")
    return PermissionError(f"{name} can't run: the plugin's manifest does not ask for 'store'")


def store_for(manifest: Manifest | None, store: Store) -> Store:
    """The node's store, or one that refuses."""
    return store if manifest is None or manifest.asks("store") else NoStore()


def check_engines(manifest: Manifest | None, specs: Sequence[EngineSpec]) -> None:
    """Raises ``QuarantineError`` if engines were not asked for."""
    if manifest is not None and specs:
        _demand(manifest, "engines")


def check_grants(manifest: Manifest | None, registered: Registrations) -> None:
    """Raises ``QuarantineError`` naming the first thing that was not asked for. Our own plugins have no manifest."""
    if manifest is None:
        return
    for wanted, things in (
        ("routes", registered.routes),
        ("jobs", registered.jobs),
        ("permissions", registered.permissions),
    ):
        if things:
            _demand(manifest, wanted)
    for provider in registered.providers:
        _demand(manifest, f"provide:{provider.capability}")
    own = {permission.name for permission in registered.permissions} | {SELF}
    for route in registered.routes:
        if route.permission not in own:
            _demand(manifest, f"route:{route.permission}")


def _demand(manifest: Manifest, permission: str) -> None:
    if not manifest.asks(permission):
        raise QuarantineError(f"it needs the permission {permission!r}, which its manifest does not ask for")
