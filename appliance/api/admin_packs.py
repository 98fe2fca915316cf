"""Model packs for the dashboard: the shelf, where packs may come from, and work on them, which goes on after its answer.

What an order does to the shelf takes minutes: its request answers 202 once it is recorded, the snapshot tells how it goes on, and
the audit log has a second event with its outcome.
"""

from __future__ import annotations

import secrets
from functools import partial
from typing import Final, Literal, Protocol, get_args

import msgspec

from appliance.api.admin_packs_shapes import Chosen, Offer, PlaceList, Shelved
from appliance.api.admin_shapes import Done
from appliance.operations.packs.picture import PackText
from appliance.operations.packs.places import Listing
from appliance.operations.packs.work import Order, Work
from appliance.plugin_api.errors import INVALID, NOT_FOUND
from appliance.plugin_api.http import AnyRoute, Handler, Reply, Request, Route
from appliance.plugin_api.storage import Transaction

PREFIX: Final = "/api/admin/pack"
TAG: Final = "admin"
ACCEPTED: Final = 202
Action = Literal["verify", "activate", "remove"]
ACTIONS: Final[tuple[Action, ...]] = get_args(Action)


class PackDesk(Protocol):
    """The shelf of this node (``appliance.daemon.packs_desk.PacksDesk``)."""

    async def shelf(self) -> Shelved:
        """Every installed pack."""
        ...

    async def text(self, pack: str) -> PackText:
        """Licence, intended use and files. Raises ``pack.unknown`` (404), or why it is not believed (422)."""
        ...

    async def places(self) -> PlaceList:
        """From where packs may be imported."""
        ...

    async def listing(self, place: str, path: str) -> Listing:
        """A folder of a place. Raises ``pack.place`` (404)."""
        ...

    async def offer(self, place: str, path: str) -> Offer:
        """What importing this would bring. Raises ``pack.place`` (404)."""
        ...

    def check(self, order: Order) -> None:
        """Raise what speaks against it: ``pack.busy``, ``pack.in_use`` (409), ``pack.unknown``, ``pack.place`` (404)."""
        ...

    def begin(self, order: Order) -> None:
        """Carry it out in the background."""
        ...

    def latest(self) -> Work | None:
        """The work that goes on, or the last one that ended."""
        ...

    def stop(self, work_id: str) -> bool:
        """Stop this work; whether it still went on and could be."""
        ...


def pack_routes(desk: PackDesk | None) -> list[AnyRoute]:
    """``/api/admin/packs`` and what belongs to it. ``desk``: None in tools and tests that have no shelf."""
    return [*_look_routes(_Look(desk)), *_order_routes(_Orders(desk))]


def _look_routes(look: _Look) -> list[AnyRoute]:
    def get(path: str, permission: str, handler: Handler, summary: str, response: object) -> Route:
        return Route("GET", PREFIX + path, permission, handler, summary, response=response, tag=TAG)

    return [
        get("s", "node.read", look.shelf, "Model packs on this node, with state, signer and intended use", Shelved),
        get("s/{pack}", "node.read", look.text, "A pack's licence, intended use and files in full", PackText),
        get("-places", "node.manage", look.places, "From where packs may be imported", PlaceList),
        get("-places/entries", "node.manage", look.listing, "What lies in a place: ?place=…&path=…", Listing),
        get("-places/offer", "node.manage", look.offer, "What importing would bring, and whether it can: ?place=…&path=…", Offer),
    ]  # fmt: skip


def _order_routes(orders: _Orders) -> list[AnyRoute]:
    def post(path: str, handler: Handler, summary: str, request: object = None) -> Route:
        return Route("POST", PREFIX + path, "node.manage", handler, summary, request=request, response=Done, tag=TAG)

    return [
        post("-imports", orders.take_in, "Take a pack in beside what serves; repeated, it goes on where it stopped", Chosen),
        post("s/{pack}/{action}", orders.on_pack, "Verify, activate (once it answered a test) or remove a pack"),
        post("-rollbacks/{capability}", orders.rollback, "Go back to the pack that served before, once it answered a test"),
        post("-work/{id}/stop", orders.stop, "Stop work on a pack; what was copied stays for the next attempt"),
    ]  # fmt: skip


class _Look:
    def __init__(self, desk: PackDesk | None) -> None:
        self._desk = desk

    async def shelf(self, _request: Request) -> Reply:
        return Reply(body=await self._desk.shelf() if self._desk is not None else Shelved(packs=[]))

    async def text(self, request: Request) -> Reply:
        pack = request.parameters["pack"]
        request.about(resource=f"models/{pack}")
        return Reply(body=await _there(self._desk).text(pack))

    async def places(self, _request: Request) -> Reply:
        return Reply(body=await self._desk.places() if self._desk is not None else PlaceList([]))

    async def listing(self, request: Request) -> Reply:
        return Reply(body=await _there(self._desk).listing(*_asked(request)))

    async def offer(self, request: Request) -> Reply:
        return Reply(body=await _there(self._desk).offer(*_asked(request)))


class _Orders:
    def __init__(self, desk: PackDesk | None) -> None:
        self._desk = desk

    async def take_in(self, request: Request) -> Reply:
        body = await request.body(Chosen)
        return await self._give(request, Order(id=_new_id(), kind="import", place=body.place, path=body.path))

    async def on_pack(self, request: Request) -> Reply:
        action = _action(request.parameters["action"])
        return await self._give(request, Order(id=_new_id(), kind=action, what=request.parameters["pack"]))

    async def rollback(self, request: Request) -> Reply:
        return await self._give(request, Order(id=_new_id(), kind="rollback", what=request.parameters["capability"]))

    async def stop(self, request: Request) -> Reply:
        work_id, desk = request.parameters["id"], _there(self._desk)
        request.about(resource=f"models/work/{work_id}")

        def stop() -> None:
            desk.stop(work_id)

        def change(tx: Transaction) -> Reply:
            tx.after_commit(stop)
            return Reply(ACCEPTED, Done(work_id, "stopping"))

        return await request.commit(change)

    async def _give(self, request: Request, order: Order) -> Reply:
        desk, who = _there(self._desk), request.principal
        order = msgspec.structs.replace(order, by=who.username, by_id=who.user_id)
        request.about(resource=f"models/{order.what or 'import'}")
        check, begin = partial(desk.check, order), partial(desk.begin, order)

        def change(tx: Transaction) -> Reply:
            check()  # here, so that a repeat gets the first answer although things have moved on
            tx.after_commit(begin)
            return Reply(ACCEPTED, Done(order.id, order.kind))

        return await request.commit(change)


def _there(desk: PackDesk | None) -> PackDesk:
    if desk is None:
        raise NOT_FOUND(what="models")
    return desk


def _asked(request: Request) -> tuple[str, str]:
    return request.query.get("place", ""), request.query.get("path", "")


def _new_id() -> str:
    return secrets.token_hex(8)


def _action(name: str) -> Action:
    try:
        action: Action = msgspec.convert(name, Action)
    except msgspec.ValidationError:
        raise INVALID(field="action", name="action", reason=" | ".join(ACTIONS)) from None
    return action
