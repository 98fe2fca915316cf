"""One change, once: the effect, its audit event and the reply to its Idempotency-Key in one savepoint."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from datetime import datetime
from typing import Final

from appliance.api.context import ApiRequest
from appliance.api.errors import IDEMPOTENCY_KEY
from appliance.api.replies import encode_body
from appliance.plugin_api.http import Reply
from appliance.plugin_api.storage import Transaction
from appliance.store import idempotency

REPLAYED: Final = "idempotency-replayed"
_KEY: Final = re.compile(r"[\x21-\x7e]{1,128}")

Change = Callable[[Transaction], Reply]


def once(request: ApiRequest, change: Change, now: datetime) -> Change:
    """``change``, run once per Idempotency-Key of ``request``; a repeat gets the first reply, marked as such.

    An exception undoes everything and is not remembered: the same key may be tried again.

    Raises:
        ProntuarioError: ``idempotency.key`` 422 (the header's form), ``idempotency.reused`` 422 (another request's key).
    """
    key = request.headers.get("idempotency-key")
    request.commits += 1
    if key is None:
        return change
    if not _KEY.fullmatch(key):
        raise IDEMPOTENCY_KEY(field="Idempotency-Key")
    scope, fingerprint = _scope_of(request), _fingerprint_of(request)
    step = key if request.commits == 1 else f"{key} {request.commits}"

    def change_once(tx: Transaction) -> Reply:
        first = idempotency.look_up(tx, scope, step, fingerprint)
        if first is not None:
            return Reply(first.status, first.body, {**first.headers, REPLAYED: "true"}, first.content_type)
        reply = change(tx)
        kept = idempotency.RememberedReply(
            reply.status, encode_body(reply.body), reply.content_type, dict(reply.headers)
        )
        idempotency.remember(tx, scope, step, fingerprint, kept, now=now)
        return reply

    return change_once


def _scope_of(request: ApiRequest) -> str:
    if request.caller is not None:
        return f"user:{request.caller.user_id}"
    certificate = request.device_certificate
    return f"device:{hashlib.sha256(certificate).hexdigest()}" if certificate else "anonymous"


def _fingerprint_of(request: ApiRequest) -> bytes:
    parts = [request.method, request.path, request.scope["query_string"].decode("latin-1"), request.digest]
    parts.append(request.headers.get("content-digest", "") if not request.digest else "")
    return hashlib.sha256("\n".join(parts).encode("utf-8", "surrogatepass")).digest()
