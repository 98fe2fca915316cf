"""What the page of models asks of core."""

from __future__ import annotations

from urllib.parse import quote, urlencode

from admin_ui.client import AdminClient
from admin_ui.shapes_packs import Begun, Listing, Offer, PackText, PlaceList, Shelf


class PackCalls:
    """Typed calls of one person; each raises what ``AdminClient.get`` raises."""

    def __init__(self, client: AdminClient) -> None:
        self._client = client

    async def shelf(self) -> Shelf:
        """Every installed pack."""
        return await self._client.get("/api/admin/packs", Shelf)

    async def text(self, pack: str) -> PackText:
        """Licence, intended use and files in full."""
        return await self._client.get(f"/api/admin/packs/{quote(pack, safe='')}", PackText)

    async def places(self) -> PlaceList:
        """From where packs may be imported."""
        return await self._client.get("/api/admin/pack-places", PlaceList)

    async def listing(self, place: str, path: str) -> Listing:
        """What lies in a folder of a place."""
        return await self._client.get(f"/api/admin/pack-places/entries?{_where(place, path)}", Listing)

    async def offer(self, place: str, path: str) -> Offer:
        """What importing this would bring."""
        return await self._client.get(f"/api/admin/pack-places/offer?{_where(place, path)}", Offer)

    async def take_in(self, place: str, path: str) -> Begun:
        """Begin an import, or go on with it."""
        return await self._client.change("POST", "/api/admin/pack-imports", Begun, {"place": place, "path": path})

    async def order(self, action: str, pack: str) -> Begun:
        """Begin to ``verify``, ``activate`` or ``remove`` a pack."""
        return await self._client.change("POST", f"/api/admin/packs/{quote(pack, safe='')}/{action}", Begun)

    async def roll_back(self, capability: str) -> Begun:
        """Begin to go back to the pack that served before."""
        return await self._client.change("POST", f"/api/admin/pack-rollbacks/{quote(capability, safe='')}", Begun)

    async def stop(self, work_id: str) -> Begun:
        """Stop work that goes on."""
        return await self._client.change("POST", f"/api/admin/pack-work/{quote(work_id, safe='')}/stop", Begun)


def _where(place: str, path: str) -> str:
    return urlencode({"place": place, "path": path})
