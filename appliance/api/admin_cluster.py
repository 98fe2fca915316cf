"""The pair for the dashboard: how it stands, what each action would do, and carrying it out once it was confirmed.

An action is recorded before it begins: a handover closes the record, so afterwards nothing could be recorded here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, Literal, Protocol, get_args

import msgspec

from appliance.cluster.model import ClusterStatus
from appliance.plugin_api.errors import INVALID, define
from appliance.plugin_api.http import AnyRoute, Reply, Request, Route
from appliance.plugin_api.storage import Transaction

PREFIX: Final = "/api/admin/cluster"
TAG: Final = "admin"
ACCEPTED: Final = 202
Action = Literal["handover", "drill", "promote", "mark-lost"]
ACTIONS: Final[tuple[Action, ...]] = get_args(Action)

NOT_PAIRED = define(
    "cluster.single",
    409,
    pt=("Este nó trabalha sozinho.", "Para formar um par, use prontuario cluster init."),
    en=("This node works alone.", "To make a pair, use prontuario cluster init."),
)


class Preview(msgspec.Struct, frozen=True, kw_only=True):
    """What an action would do, said before it is done. ``refused``: why it can't be done now (English), empty if it can.

    ``refused_code``: the same as a stable word.
    ``phrase``: what has to be typed, empty when no data is at stake. ``target``: the node that would serve afterwards, which
    the dashboard has people type where nothing else has to be.
    """

    action: str
    sentence_pt: str
    sentence_en: str
    refused: str = ""
    refused_pt: str = ""
    refused_code: str = ""
    phrase: str = ""
    target: str = ""


class PairView(msgspec.Struct, frozen=True, kw_only=True):
    """The pair as this node sees it; ``status`` is None on a node alone."""

    paired: bool
    status: ClusterStatus | None = None
    actions: tuple[Preview, ...] = ()


class Confirmed(msgspec.Struct, forbid_unknown_fields=True):
    """An action's body: what the person typed."""

    typed: str = ""


class Begun(msgspec.Struct, frozen=True):
    """The action was recorded and begins; look at the pair to see it happen."""

    action: str


class ClusterDesk(Protocol):
    """The pair's operations (``appliance.daemon.pair.desk.PairDesk``)."""

    def status(self) -> ClusterStatus:
        """How things stand, from memory."""
        ...

    def previews(self) -> Sequence[Preview]:
        """One for each action."""
        ...

    def check(self, action: Action, typed: str) -> None:
        """Raise what speaks against ``action``: ``cluster.no_handover|no_promotion|no_drill`` 409, ``cluster.confirmation`` 422."""
        ...

    def begin(self, action: Action, by: str, typed: str) -> None:
        """Carry it out in the background."""
        ...


def cluster_routes(desk: ClusterDesk | None) -> list[AnyRoute]:
    """``GET`` the pair; ``POST`` an action. ``desk``: None on a node alone."""

    async def view(_request: Request) -> Reply:
        if desk is None:
            return Reply(body=PairView(paired=False))
        return Reply(body=PairView(paired=True, status=desk.status(), actions=tuple(desk.previews())))

    async def act(request: Request) -> Reply:
        if desk is None:
            raise NOT_PAIRED()
        action = _action(request.parameters["action"])
        typed = (await request.body(Confirmed)).typed
        check = partial(desk.check, action, typed)
        begin: Callable[[], None] = partial(desk.begin, action, request.principal.username, typed)

        def change(tx: Transaction) -> Reply:
            check()  # here, so that a repeat gets the first answer although things have moved on
            tx.after_commit(begin)
            return Reply(ACCEPTED, Begun(action))

        return await request.commit(change)

    one = PREFIX + "/{action}"
    return [
        Route("GET", PREFIX, "node.read", view, "The pair: who leads, since when, and what can be done", response=PairView, tag=TAG),
        Route(
            "POST", one, "node.manage", act, "Hand over, drill, promote or mark lost, once confirmed", request=Confirmed,
            response=Begun, tag=TAG,
        ),
    ]  # fmt: skip


def _action(text: str) -> Action:
    try:
        action: Action = msgspec.convert(text, Action)
    except msgspec.ValidationError:
        raise INVALID(field="action", name="action", reason=" | ".join(ACTIONS)) from None
    return action
