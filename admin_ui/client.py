"""The admin API as one person at the dashboard may use it: typed calls, and a token that renews itself."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Mapping
from typing import Any, Final, TypeVar
from urllib.parse import quote, urlencode

import msgspec

from admin_ui.events import read_events
from admin_ui.link import UNAUTHENTICATED, CoreLink, CoreRefusedError, CoreUnreachableError
from admin_ui.shapes import (
    AccessRow,
    AuditReport,
    DeviceList,
    DeviceRow,
    Ended,
    EnrolmentCode,
    JobList,
    Login,
    Me,
    SessionList,
    SessionRow,
    Snapshot,
    SwitchList,
    SwitchRow,
    TaskRow,
    UserList,
    UserRow,
)
from admin_ui.shapes_alerts import AlertRow
from admin_ui.shapes_cluster import PairPicture

T = TypeVar("T")
RENEW_BEFORE_S: Final = 60.0
MAX_PEOPLE: Final = 5000


class SignedOutError(Exception):
    """Core no longer accepts this person's tokens: expired, revoked, or signed out elsewhere."""


async def sign_in(link: CoreLink, username: str, password: str, language: str) -> AdminClient:
    """Sign a person in. Raises ``CoreRefusedError`` (401 for a wrong name or password), ``CoreUnreachableError``."""
    body = {"username": username, "password": password}
    login = await link.call("POST", "/api/login", Login, language=language, body=body)
    me = await link.call("GET", "/api/me", Me, token=login.access_token, language=language)
    return AdminClient(link, login, me, language)


class AdminClient:
    """Everything that the pages ask of core. The tokens live here, in memory, and nowhere else."""

    def __init__(self, link: CoreLink, login: Login, me: Me, language: str) -> None:
        self._link = link
        self._login = login
        self._renew_at = _renewal_time(login)
        self._renewing = asyncio.Lock()
        self.person = me.user
        self.permissions = me.permissions
        self.language = language

    def may(self, permission: str) -> bool:
        """Whether this person's role grants ``permission``."""
        return permission in self.permissions

    async def get(self, path: str, shape: type[T]) -> T:
        """Any GET below core. Raises ``SignedOutError`` besides what the link raises."""
        return await self._call("GET", path, shape)

    async def change(self, method: str, path: str, shape: type[T], body: Any = None, *, seen: int | None = None) -> T:
        """Any change below core; ``seen`` is the version that the person had before them. Raises like ``get``."""
        return await self._call(method, path, shape, body, seen)

    async def snapshots(self) -> AsyncGenerator[Snapshot, None]:
        """The live pictures of one stream; core ends it after a minute, then call again."""
        token = await self._token()
        try:
            async with self._link.stream("/api/admin/events", token=token, language=self.language) as lines:
                async for event in read_events(lines):
                    if event.name == "snapshot":
                        yield _snapshot(event.data)
        except CoreRefusedError as error:
            if error.status != UNAUTHENTICATED:
                raise
            await self._renew(token)

    async def pair(self) -> PairPicture:
        """The pair as the answering node sees it, and what can be done now."""
        return await self._call("GET", "/api/admin/cluster", PairPicture)

    async def act_on_pair(self, action: str, typed: str) -> None:
        """Begin ``action``; ``typed`` is what the person typed to confirm it."""
        await self._call("POST", f"/api/admin/cluster/{quote(action, safe='')}", object, {"typed": typed})

    async def alerts(self) -> list[AlertRow]:
        """Alerts of both nodes where there are two: what is on first."""
        return await self._call("GET", "/api/admin/alerts", list[AlertRow])

    async def see_alert(self, alert_id: str) -> None:
        """Say that this person sees to it."""
        await self._call("POST", f"/api/admin/alerts/{quote(alert_id, safe='')}/acknowledge", object)

    async def schedule(self) -> list[TaskRow]:
        """Recurring work, of both nodes where there are two."""
        return await self._call("GET", "/api/admin/schedule", list[TaskRow])

    async def run_task(self, name: str) -> None:
        """Run recurring work of the answering node now."""
        await self._call("POST", f"/api/admin/schedule/{quote(name, safe='')}/run", object)

    async def restart_engine(self, name: str) -> None:
        """End an engine's process and start another."""
        await self._call("POST", f"/api/admin/engines/{quote(name, safe='')}/restart", object)

    async def ai_switches(self) -> list[SwitchRow]:
        """Every AI function, and who has switched it off for this person."""
        return (await self._call("GET", "/api/ai/switches", SwitchList)).switches

    async def switch_ai(self, function: str, *, on: bool) -> None:
        """Switch an AI function off or on for the whole hospital."""
        await self._call("PUT", f"/api/ai/hospital-switches/{quote(function, safe='')}", object, {"on": on})

    async def jobs(self, state: str) -> JobList:
        """Jobs of one state, newest first."""
        return await self._call("GET", f"/api/admin/jobs?state={quote(state)}", JobList)

    async def requeue(self, job_id: str) -> None:
        """Run a dead job again."""
        await self._call("POST", f"/api/admin/jobs/{quote(job_id, safe='')}/requeue", object)

    async def discard(self, job_id: str) -> None:
        """Give a dead job up."""
        await self._call("POST", f"/api/admin/jobs/{quote(job_id, safe='')}/discard", object)

    async def audit(
        self, before: int | None = None, limit: int = 50, asked: Mapping[str, str] | None = None
    ) -> list[AccessRow]:
        """Accesses before sequence number ``before``, newest first. ``asked``: ``patient``, ``user``, ``from``, ``to``."""
        position = {} if before is None else {"before": str(before)}
        query = urlencode({"limit": str(limit), **position, **(asked or {})})
        return await self._call("GET", f"/api/admin/audit?{query}", list[AccessRow])

    async def audit_export(self, asked: Mapping[str, str]) -> bytes:
        """The same as a file with its proofs, byte for byte as core made it."""
        return bytes(await self._call("GET", f"/api/audit/export?{urlencode(asked)}", msgspec.Raw))

    async def audit_check(self) -> AuditReport:
        """Have core read the whole log again and check every hash."""
        return await self._call("GET", "/api/audit/check", AuditReport)

    async def users(self) -> list[UserRow]:
        """Every person, by username."""
        found: list[UserRow] = []
        after: str | None = ""
        while after is not None and len(found) < MAX_PEOPLE:
            page = await self._call("GET", f"/api/users?after={quote(after, safe='')}", UserList)
            found.extend(page.users)
            after = page.next
        return found

    async def create_user(self, username: str, display_name: str, role: str, password: str) -> UserRow:
        """Make a person who may sign in at once."""
        body = {"username": username, "display_name": display_name, "role": role, "password": password}
        return await self._call("POST", "/api/users", UserRow, body)

    async def block_user(self, user_id: str, *, blocked: bool) -> UserRow:
        """Shut a person out at once, or let them in again."""
        return await self._call("PATCH", f"/api/users/{quote(user_id, safe='')}", UserRow, {"disabled": blocked})

    async def reset_password(self, user_id: str, password: str) -> None:
        """Give a person a new password; their sessions end."""
        path = f"/api/users/{quote(user_id, safe='')}/password"
        await self._call("POST", path, object, {"new_password": password})

    async def sessions(self, user_id: str) -> list[SessionRow]:
        """A person's open sessions, newest first."""
        return (await self._call("GET", f"/api/users/{quote(user_id, safe='')}/sessions", SessionList)).sessions

    async def end_session(self, session_id: str) -> int:
        """End one session at once; how many ended."""
        return (await self._call("DELETE", f"/api/sessions/{quote(session_id, safe='')}", Ended)).sessions

    async def end_sessions(self, user_id: str) -> int:
        """End all sessions of a person at once; how many ended."""
        return (await self._call("DELETE", f"/api/users/{quote(user_id, safe='')}/sessions", Ended)).sessions

    async def devices(self) -> list[DeviceRow]:
        """Enrolled devices, newest first."""
        return (await self._call("GET", "/api/devices", DeviceList)).devices

    async def revoke_device(self, device_id: str) -> DeviceRow:
        """Shut a device out, at once."""
        return await self._call("DELETE", f"/api/devices/{quote(device_id, safe='')}", DeviceRow)

    async def enrolment_code(self, user_id: str | None) -> EnrolmentCode:
        """A one-time code by which this person's phone enrols; None is for a device that many share."""
        whose = "/api/devices" if user_id is None else f"/api/users/{quote(user_id, safe='')}"
        return await self._call("POST", f"{whose}/enrolment-codes", EnrolmentCode)

    async def sign_out(self) -> None:
        """End the session at core; a core that does not answer ends it by itself when the token runs out."""
        try:
            await self._call("POST", "/api/logout", object)
        except (SignedOutError, CoreRefusedError, CoreUnreachableError):
            return

    async def _call(self, method: str, path: str, shape: type[T], body: Any = None, seen: int | None = None) -> T:
        token = await self._token()
        try:
            return await self._link.call(method, path, shape, token=token, language=self.language, body=body, seen=seen)
        except CoreRefusedError as error:
            if error.status != UNAUTHENTICATED:
                raise
        await self._renew(token)
        token = self._login.access_token
        return await self._link.call(method, path, shape, token=token, language=self.language, body=body, seen=seen)

    async def _token(self) -> str:
        if time.monotonic() >= self._renew_at:
            await self._renew(self._login.access_token)
        return self._login.access_token

    async def _renew(self, old: str) -> None:
        """Trade the refresh token, once however many ask: a second use of it would look like a theft to core."""
        async with self._renewing:
            if self._login.access_token != old:
                return
            body = {"refresh_token": self._login.refresh_token}
            try:
                self._login = await self._link.call(
                    "POST", "/api/token/refresh", Login, language=self.language, body=body
                )
            except CoreRefusedError as error:
                raise SignedOutError from error
            self._renew_at = _renewal_time(self._login)


def _renewal_time(login: Login) -> float:
    return time.monotonic() + max(login.access_expires_in - RENEW_BEFORE_S, login.access_expires_in / 2)


def _snapshot(data: str) -> Snapshot:
    try:
        return msgspec.json.decode(data, type=Snapshot)
    except msgspec.MsgspecError as error:
        raise CoreUnreachableError(f"unexpected answer: {error}") from error
