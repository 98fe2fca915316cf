"""The generated FHIR tables (``definitions/``), read once when first needed."""

from __future__ import annotations

import gzip
from functools import lru_cache
from importlib import resources
from typing import Any, Final, TypeVar

import msgspec

from appliance.records.errors import TYPE_UNKNOWN

T = TypeVar("T")
FHIR_VERSION: Final = "4.0.1"
NOT_WRITABLE: Final = frozenset({"AuditEvent"})
"""Types that clients may not write: the appliance's own audit log is the source."""


class Child(msgspec.Struct, frozen=True):
    """A child element: its type (``of``), or what to check of a primitive (``date``, ``codes``)."""

    of: str | None = None
    targets: tuple[str, ...] | None = None
    date: str | None = None
    codes: str | None = None
    resource: bool = False


class TypeEntry(msgspec.Struct, frozen=True):
    """``required``: at least one name of each group; ``choices``: at most one name of each group."""

    required: tuple[tuple[str, ...], ...]
    choices: tuple[tuple[str, ...], ...]
    children: dict[str, Child]


class Elements(msgspec.Struct, frozen=True):
    """What the JSON schema cannot say, by type (``Observation``, ``Observation.component``, ``HumanName``)."""

    types: dict[str, TypeEntry]
    codes: dict[str, frozenset[str]]


class SearchPath(msgspec.Struct, frozen=True, rename={"as_type": "as"}):
    """Where a parameter's values lie: child names from the resource down."""

    steps: tuple[str, ...]
    as_type: str | None = None
    target: str | None = None
    where: tuple[str, str] | None = None


class SearchParameter(msgspec.Struct, frozen=True):
    """One served search parameter (FHIR R4 SearchParameter)."""

    kind: str
    paths: tuple[SearchPath, ...]
    definition: str
    targets: tuple[str, ...] = ()


@lru_cache(1)
def schema() -> Any:
    """The R4 JSON schema of the served types."""
    return _load("schema", dict[str, Any])


@lru_cache(1)
def elements() -> Elements:
    """The table of elements."""
    return _load("elements", Elements)


@lru_cache(1)
def search_parameters() -> dict[str, dict[str, SearchParameter]]:
    """Search parameters by type and code. Its keys are the served types."""
    return _load("search", dict[str, dict[str, SearchParameter]])


def served_types() -> tuple[str, ...]:
    """Every resource type that this appliance keeps, in alphabetical order."""
    return tuple(sorted(search_parameters()))


def client_types() -> tuple[str, ...]:
    """The types that clients may read and write."""
    return tuple(name for name in served_types() if name not in NOT_WRITABLE)


def require_served(resource_type: str) -> None:
    """Raises ``fhir.type_unknown`` (404) for any other type."""
    if resource_type not in search_parameters():
        known = resource_type if resource_type.isalpha() and len(resource_type) < 64 else "?"  # noqa: PLR2004  a name's length
        raise TYPE_UNKNOWN(type=known)


def _load(name: str, shape: type[T]) -> T:
    packed = resources.files("appliance.records.definitions").joinpath(f"{name}.json.gz").read_bytes()
    return msgspec.json.decode(gzip.decompress(packed), type=shape)
