"""Who may do what: roles and their permissions. Deny by default: what is not written here is not allowed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from appliance.plugin_api.hooks import Permission
from appliance.plugin_api.http import PUBLIC, SELF

_NURSE: Final = frozenset(
    {
        "patient.read",
        "patient.write",
        "record.read",
        "record.write",
        "dictation.read",
        "dictation.write",
        "note.read",
        "note.write",
        "ai.transcribe",
        "ai.chat",
        "ai.speak",
        "model.read",
    }
)
ROLES: Final[dict[str, frozenset[str]]] = {
    "physician": _NURSE | {"note.sign", "note.export"},
    "nurse": _NURSE,
    "auditor": frozenset({"audit.read", "node.read"}),
    "admin": frozenset(
        {
            "user.manage",
            "device.manage",
            "node.read",
            "node.manage",
            "plugin.read",
            "job.read",
            "job.manage",
            "model.read",
        }
    ),
    "it": frozenset(
        {"device.manage", "node.read", "node.manage", "plugin.read", "job.read", "job.manage", "model.read"}
    ),
}
"""The built-in roles. Plugins add permissions of their own through ``Policy.register``."""

KNOWN: Final[frozenset[str]] = frozenset[str]().union(*ROLES.values())
"""Every built-in permission that a role has; the special ``public`` and ``self`` belong to no role."""
SPECIAL: Final = frozenset({PUBLIC, SELF})


class Policy:
    """The roles of one node: the built-in ones plus what its plugins registered."""

    def __init__(self) -> None:
        self._roles = dict(ROLES)
        self._known = set(KNOWN)

    def register(self, permissions: Iterable[Permission]) -> None:
        """Add plugins' permissions.

        Raises:
            ValueError: a built-in or already registered permission, a special name, or an unknown role. A plugin can't
                widen what exists.
        """
        for permission in permissions:
            unknown = permission.roles - self._roles.keys()
            if permission.name in self._known | SPECIAL:
                raise ValueError(f"permission {permission.name!r} already exists")
            if unknown:
                raise ValueError(f"permission {permission.name!r} names unknown roles {sorted(unknown)}")
            self._known.add(permission.name)
            for role in permission.roles:
                self._roles[role] = self._roles[role] | {permission.name}

    @property
    def known(self) -> frozenset[str]:
        """Every permission that a route may name, besides ``public`` and ``self``."""
        return frozenset(self._known)

    def permissions_of(self, role: str) -> frozenset[str]:
        """The permissions of a role; an unknown role has none."""
        return self._roles.get(role, frozenset())


def permissions_of(role: str) -> frozenset[str]:
    """The built-in permissions of a role; an unknown role has none."""
    return ROLES.get(role, frozenset())
