"""What two nodes say to each other about inference: bodies of ``peer_messages.Call`` and ``Answer`` of the service ``compute``.

A request is stateless: what crosses is its payload, its limits and the name of its cache; nothing of the record.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from appliance.engines.supervisor import EngineSupervisor
from appliance.plugin_api.engine import EngineStatus, Lane

SERVICE: Final = "compute"
OFFERS: Final = "offers"
RUN: Final = "run"


class _Body(msgspec.Struct, frozen=True, array_like=True):
    pass


class Identity(_Body, frozen=True):
    """What has to be equal on both nodes, so that an answer is the same wherever it is computed.

    ``settings`` is the engine's configuration without the places where its files lie; ``version`` is the software's.
    """

    engine: str
    factory: str
    model_id: str
    model_sha256: str
    settings: bytes
    version: str


class Offer(_Body, frozen=True):
    """A ready engine and how many requests of the other node it takes at a time, those that it has already included."""

    identity: Identity
    room: int


class Offers(_Body, frozen=True):
    """Every engine that could work for the other node now."""

    offers: tuple[Offer, ...]


class Run(_Body, frozen=True):
    """Run a request on the engine of this identity; answered piece by piece. ``deadline_s`` counts from its arrival.

    ``traceparent`` (W3C Trace Context) is empty unless the request is traced.
    """

    identity: Identity
    kind: str
    payload: bytes
    deadline_s: float
    lane: Lane
    tenant: str
    traceparent: str = ""


def identity_of(engine: EngineSupervisor, version: str) -> Identity | None:
    """The living child's; None while there is none, or when its model can't be told from another."""
    loaded = engine.loaded
    if engine.status is not EngineStatus.READY or loaded is None or not loaded.model_sha256:
        return None
    return Identity(
        engine.spec.name,
        engine.spec.factory,
        loaded.model_id,
        loaded.model_sha256,
        _settings(dict(engine.spec.config)),
        version,
    )


def _settings(config: dict[str, Any]) -> bytes:
    portable = {key: value for key, value in config.items() if not (isinstance(value, str) and value.startswith("/"))}
    return msgspec.msgpack.Encoder(order="deterministic").encode(portable)
