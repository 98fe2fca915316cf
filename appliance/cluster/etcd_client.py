"""etcd 3.4 through its JSON gateway (api v3, etcd's ``rpc.proto``): several endpoints, one deadline for each call.

Keys and values travel in base64, 64-bit numbers as text. A call that got no answer from one member goes to the next, so a
transaction may be applied twice: callers write transactions whose second run fails its comparison and then look at what
is there. No answer at all means *unknown*, never *no*.
"""

from __future__ import annotations

import asyncio
import base64
import ssl
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

from appliance.cluster.errors import ETCD_REFUSED, NO_QUORUM
from appliance.cluster.http_wire import HttpWire

_NOT_FOUND: Final = 5  # gRPC status codes
_TRY_ANOTHER: Final = frozenset({4, 8, 14})
Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class KeyValue:
    """A key's value with what comparisons need. ``lease`` 0: not bound to one."""

    value: bytes
    create_revision: int
    mod_revision: int
    lease: int


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Keys below a prefix (names without it) as of one revision."""

    revision: int
    keys: Mapping[str, KeyValue]


@dataclass(frozen=True, slots=True)
class Member:
    """One voter as seen now. ``id`` is None while its endpoint does not answer."""

    endpoint: str
    id: str | None
    leader: str | None


class EtcdClient:
    """Give it ``https://host:port`` of every member, nearest first; close it at the end. ``attempt_s``: for one member."""

    def __init__(self, endpoints: Sequence[str], tls: ssl.SSLContext | None = None, *, attempt_s: float = 0.35) -> None:
        self.endpoints = tuple(endpoint.rstrip("/") for endpoint in endpoints)
        self._attempt_s = attempt_s
        self._preferred = 0
        self._wires = {endpoint: HttpWire(endpoint, tls) for endpoint in self.endpoints}

    async def close(self) -> None:
        """Close every connection; safe to call twice."""
        for wire in self._wires.values():
            await wire.close()

    async def call(self, path: str, body: Json, deadline_s: float = 1.0) -> Json:
        """POST to the first member that answers within ``deadline_s`` in all.

        Raises:
            ProntuarioError: ``cluster.no_quorum`` (whether it was applied is unknown), ``cluster.etcd_refused``.
        """
        ends = time.monotonic() + deadline_s
        for offset in range(len(self.endpoints)):
            chosen = (self._preferred + offset) % len(self.endpoints)
            left = ends - time.monotonic()
            if left <= 0:
                break
            try:
                answer = await self._post(self.endpoints[chosen], path, body, min(self._attempt_s, left))
            except _NoAnswerError:
                continue
            self._preferred = chosen
            return answer
        self._preferred = (self._preferred + 1) % len(self.endpoints)
        raise NO_QUORUM(retry_after=1)

    async def read(self, prefix: str, deadline_s: float = 1.0) -> Snapshot:
        """Every key below ``prefix``, linearizable: a member that is cut off can't answer with the past."""
        body = {"key": _b64(prefix.encode()), "range_end": _b64(_after(prefix.encode()))}
        answer = await self.call("/v3/kv/range", body, deadline_s)
        return Snapshot(_revision(answer), _keys(answer, prefix))

    async def txn(
        self, compare: Sequence[Json], success: Sequence[Json], *, deadline_s: float = 1.0
    ) -> tuple[bool, int]:
        """(whether every comparison held and ``success`` was applied, the store's revision)."""
        answer = await self.call("/v3/kv/txn", {"compare": [*compare], "success": [*success]}, deadline_s)
        return bool(answer.get("succeeded", False)), _revision(answer)

    async def grant(self, ttl_s: int, deadline_s: float = 1.0) -> int:
        """A new lease's id; it lives ``ttl_s`` at least (etcd raises it to 1.5 × its election timeout)."""
        answer = await self.call("/v3/lease/grant", {"TTL": str(ttl_s), "ID": "0"}, deadline_s)
        return int(answer["ID"])

    async def keep_alive(self, lease: int, deadline_s: float = 1.0) -> bool:
        """Whether the lease still lived, and so was renewed for its whole time."""
        answer = await self.call("/v3/lease/keepalive", {"ID": str(lease)}, deadline_s)
        return int(answer.get("result", {}).get("TTL", 0)) > 0

    async def revoke(self, lease: int, deadline_s: float = 1.0) -> None:
        """End the lease and delete its keys; one that is gone already is as good."""
        await self.call("/v3/lease/revoke", {"ID": str(lease)}, deadline_s)

    async def members(self, limit_s: float = 1.0) -> tuple[Member, ...]:
        """Every configured endpoint with the member behind it, asked at the same time."""
        return tuple(await asyncio.gather(*(self._member(endpoint, limit_s) for endpoint in self.endpoints)))

    async def move_leader(self, leader_endpoint: str, target_id: str) -> None:
        """Have the member behind ``leader_endpoint`` hand etcd's own leadership to ``target_id``.

        Raises:
            ProntuarioError: ``cluster.no_quorum``, ``cluster.etcd_refused`` (it does not lead any more).
        """
        try:
            await self._post(leader_endpoint, "/v3/maintenance/transfer-leadership", {"targetID": target_id}, 2.0)
        except _NoAnswerError:
            raise NO_QUORUM(retry_after=1) from None

    async def _member(self, endpoint: str, limit_s: float) -> Member:
        try:
            answer = await self._post(endpoint, "/v3/maintenance/status", {}, limit_s)
        except _NoAnswerError:
            return Member(endpoint, None, None)
        leader = str(answer.get("leader", "0"))
        return Member(endpoint, str(answer["header"]["member_id"]), None if leader == "0" else leader)

    async def _post(self, endpoint: str, path: str, body: Json, limit_s: float) -> Json:
        try:
            async with asyncio.timeout(limit_s):
                status, answer = await self._wires[endpoint].post(path, body)
        except (TimeoutError, OSError, EOFError, ValueError) as error:
            raise _NoAnswerError from error
        code = answer.get("code", answer.get("error", {}).get("grpc_code") if _is_stream_error(answer) else None)
        if status == HTTPStatus.OK and code is None:
            return answer
        if code == _NOT_FOUND:
            return {}
        if code in _TRY_ANOTHER or "no leader" in str(answer.get("error", "")):
            raise _NoAnswerError
        raise ETCD_REFUSED(status=code or status)


class _NoAnswerError(Exception):
    """This member did not answer, or said that it can't now."""


def equals(key: str, **what: int) -> Json:
    """A comparison: ``create_revision=0`` (no such key), ``mod_revision=n`` or ``lease=n``."""
    ((target, number),) = what.items()
    name = {"create_revision": "CREATE", "mod_revision": "MOD", "lease": "LEASE"}[target]
    return {"key": _b64(key.encode()), "target": name, "result": "EQUAL", target: str(number)}


def put(key: str, value: bytes, lease: int = 0) -> Json:
    """A transaction's write, bound to ``lease`` unless 0."""
    bound = {"lease": str(lease)} if lease else {}
    return {"requestPut": {"key": _b64(key.encode()), "value": _b64(value), **bound}}


def delete(key: str) -> Json:
    """A transaction's deletion of one key."""
    return {"requestDeleteRange": {"key": _b64(key.encode())}}


def _is_stream_error(answer: Json) -> bool:
    return isinstance(answer.get("error"), dict)


def _keys(answer: Json, prefix: str) -> dict[str, KeyValue]:
    return {
        base64.b64decode(entry["key"]).decode().removeprefix(prefix): KeyValue(
            base64.b64decode(entry.get("value", "")),
            int(entry["create_revision"]),
            int(entry["mod_revision"]),
            int(entry.get("lease", 0)),
        )
        for entry in answer.get("kvs", ())
    }


def _revision(answer: Json) -> int:
    return int(answer.get("header", {}).get("revision", 0))


def _after(prefix: bytes) -> bytes:
    """The first key behind all that start with ``prefix`` (etcd's range end)."""
    return prefix[:-1] + bytes([prefix[-1] + 1])


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode()
