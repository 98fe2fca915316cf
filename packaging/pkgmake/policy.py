"""``policy.toml``: the reviewed exceptions of a build, each with its reason. Nothing passes an audit without a line there."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from pkgmake.errors import BuildError

_KEYS: Final = {"leave_out", "drop", "licence", "licence_text", "weights"}


@dataclass(frozen=True, slots=True)
class Reviewed:
    """A licence that a person has read: the SPDX expression that holds for what we ship of a package, and why."""

    expression: str
    reason: str


@dataclass(frozen=True, slots=True)
class Policy:
    """``leave_out``: packages of the lock that are not shipped. ``drop``: globs of files in site-packages that are not laid down.

    ``licences``: reviewed ones by package. ``texts``: licence texts for wheels that carry none, by SPDX identifier.
    ``weights``: folders below site-packages that may hold model weights, with the bytes that they may hold together.
    """

    leave_out: Mapping[str, str] = field(default_factory=dict)
    drop: Mapping[str, str] = field(default_factory=dict)
    licences: Mapping[str, Reviewed] = field(default_factory=dict)
    texts: Mapping[str, str] = field(default_factory=dict)
    weights: Mapping[str, int] = field(default_factory=dict)


def read_policy(path: Path) -> Policy:
    """Read the policy.

    Raises:
        BuildError: unknown keys or something of the wrong shape.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
        if unknown := set(table) - _KEYS:
            raise BuildError(f"{path.name}: unknown {', '.join(sorted(unknown))}.", "Correct the file.")
        return _policy(table)
    except (tomllib.TOMLDecodeError, KeyError, TypeError, AttributeError, ValueError) as error:
        raise BuildError(f"{path.name} can't be read ({error}).", "Correct the file.") from error


def _policy(table: Mapping[str, Any]) -> Policy:
    return Policy(
        {str(name): str(reason) for name, reason in table.get("leave_out", {}).items()},
        {str(glob): str(reason) for glob, reason in table.get("drop", {}).items()},
        {
            str(name): Reviewed(str(one["expression"]), str(one["reason"]))
            for name, one in table.get("licence", {}).items()
        },
        {str(spdx): str(text) for spdx, text in table.get("licence_text", {}).items()},
        {str(folder): int(limit) for folder, limit in table.get("weights", {}).items()},
    )
