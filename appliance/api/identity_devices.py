"""Devices: codes that enrol them, the list, revoking one."""

from __future__ import annotations

from urllib.parse import urlencode

from appliance.api.identity_query import whole_number
from appliance.api.identity_shapes import CodeForDevice, DeviceList
from appliance.plugin_api.http import Reply, Request, Route
from appliance.plugin_api.storage import Store, Transaction
from appliance.security import devices
from appliance.security.authority import Authority
from appliance.security.devices import Device
from appliance.security.identity import Identity

TAG = "devices"
_MANAGE = "device.manage"
_PAGE = 500


class _DeviceApi:
    def __init__(self, identity: Identity, authority: Authority, store: Store, address: str) -> None:
        self._identity = identity
        self._authority = authority
        self._store = store
        self._address = address

    async def code_for_user(self, request: Request) -> Reply:
        user_id = request.parameters["user_id"]
        request.about(resource=f"user/{user_id}")
        return await self._code(request, user_id)

    async def code_for_shared(self, request: Request) -> Reply:
        return await self._code(request, None)

    async def _code(self, request: Request, user_id: str | None) -> Reply:
        """Not through ``commit``: its record would keep the code in the clear. A repeat makes another one-time code."""
        by = request.principal.user_id
        made = await self._store.write(lambda tx: self._identity.create_enrolment_code(tx, user_id, by))
        return Reply(201, CodeForDevice(made.code, self.uri(made.code), made.expires_at), {"cache-control": "no-store"})

    def uri(self, code: str) -> str:
        """What the QR shows: host, code and pin, so that the phone trusts the right node from the first packet."""
        return "prontuario://enrol?" + urlencode({"h": self._address, "c": code, "p": self._authority.pin})

    async def list(self, request: Request) -> Reply:
        limit, user_id = whole_number(request, "limit", _PAGE, _PAGE), request.query.get("user")
        found = await self._store.read(lambda q: devices.list_devices(q, user_id=user_id, limit=limit))
        return Reply(body=DeviceList(found))

    async def get(self, request: Request) -> Reply:
        device_id = _about_device(request)
        return Reply(body=await self._store.read(lambda q: devices.get_device(q, device_id)))

    async def revoke(self, request: Request) -> Reply:
        device_id = _about_device(request)

        def change(tx: Transaction) -> Reply:
            return Reply(body=self._identity.revoke_device(tx, device_id))

        return await request.commit(change)


def device_routes(identity: Identity, authority: Authority, store: Store, address: str) -> list[Route]:
    """Routes below ``/api/devices``, and the codes."""
    api, one = _DeviceApi(identity, authority, store, address), "/api/devices/{device_id}"
    return [
        Route(
            "POST", "/api/users/{user_id}/enrolment-codes", _MANAGE, api.code_for_user,
            "A one-time code that enrols a person's phone", None, CodeForDevice, TAG,
        ),
        Route(
            "POST", "/api/devices/enrolment-codes", _MANAGE, api.code_for_shared,
            "A one-time code that enrols a shared device", None, CodeForDevice, TAG,
        ),
        Route("GET", "/api/devices", _MANAGE, api.list, "Devices, newest first", None, DeviceList, TAG),
        Route("GET", one, _MANAGE, api.get, "A device", None, Device, TAG),
        Route("DELETE", one, _MANAGE, api.revoke, "Shut a device out at once", None, Device, TAG),
    ]  # fmt: skip


def _about_device(request: Request) -> str:
    device_id = request.parameters["device_id"]
    request.about(resource=f"device/{device_id}")
    return device_id
