"""People and their sessions, as administrators manage them."""

from __future__ import annotations

from appliance.api.identity_query import whole_number
from appliance.api.identity_shapes import (
    Ended,
    NewUser,
    PasswordReset,
    SessionList,
    SigningKeys,
    UserChange,
    UserList,
)
from appliance.plugin_api.http import Reply, Request, Route
from appliance.plugin_api.storage import Query, Store, Transaction
from appliance.security import sessions, signing, users
from appliance.security.identity import Identity
from appliance.security.users import User

TAG = "people"
_MANAGE = "user.manage"
_PAGE = 200


class _PeopleApi:
    def __init__(self, identity: Identity, store: Store) -> None:
        self._identity = identity
        self._store = store

    async def create(self, request: Request) -> Reply:
        body = await request.body(NewUser)
        hashed = None
        if body.password is not None:
            hashed = await self._identity.hash_new_password(body.password, body.username)

        def change(tx: Transaction) -> Reply:
            user = self._identity.add_user(
                tx, username=body.username, role=body.role, display_name=body.display_name, password_hash=hashed,
                practitioner_id=body.practitioner_id,
            )  # fmt: skip
            request.about(resource=f"user/{user.id}")
            return Reply(201, user, {"location": f"/api/users/{user.id}"})

        return await request.commit(change)

    async def list(self, request: Request) -> Reply:
        limit, after = whole_number(request, "limit", _PAGE, _PAGE), request.query.get("after", "")
        found = await self._store.read(lambda q: users.list_users(q, after=after, limit=limit))
        return Reply(body=UserList(found, found[-1].username if len(found) == limit else None))

    async def get(self, request: Request) -> Reply:
        user_id = _about_user(request)
        return Reply(body=await self._store.read(lambda q: users.get_user(q, user_id)))

    async def change(self, request: Request) -> Reply:
        body, user_id = await request.body(UserChange), _about_user(request)

        def change(tx: Transaction) -> Reply:
            user = self._identity.update_user(
                tx, user_id, display_name=body.display_name, role=body.role, practitioner_id=body.practitioner_id
            )
            if body.disabled is not None:
                user = self._identity.set_enabled(tx, user_id, enabled=not body.disabled)
            return Reply(body=user)

        return await request.commit(change)

    async def reset_password(self, request: Request) -> Reply:
        body, user_id = await request.body(PasswordReset), _about_user(request)
        user = await self._store.read(lambda q: users.get_user(q, user_id))
        hashed = await self._identity.hash_new_password(body.new_password, user.username)

        def change(tx: Transaction) -> Reply:
            self._identity.set_password(tx, user_id, hashed)
            return Reply(204)

        return await request.commit(change)

    async def sessions(self, request: Request) -> Reply:
        user_id = _about_user(request)

        def find(q: Query) -> SessionList:
            users.get_user(q, user_id)
            return SessionList(sessions.list_sessions(q, user_id=user_id))

        return Reply(body=await self._store.read(find))

    async def end_all(self, request: Request) -> Reply:
        user_id = _about_user(request)

        def change(tx: Transaction) -> Reply:
            users.get_user(tx, user_id)
            return Reply(body=Ended(self._identity.end_sessions(tx, "ended_by_administrator", user_id=user_id)))

        return await request.commit(change)

    async def end_one(self, request: Request) -> Reply:
        session_id = request.parameters["session_id"]
        request.about(resource=f"session/{session_id}")

        def change(tx: Transaction) -> Reply:
            sessions.get_session(tx, session_id)
            return Reply(body=Ended(self._identity.end_sessions(tx, "ended_by_administrator", session_id=session_id)))

        return await request.commit(change)

    async def signing_keys(self, request: Request) -> Reply:
        user_id = _about_user(request)

        def find(q: Query) -> SigningKeys:
            users.get_user(q, user_id)
            return SigningKeys(user_id, signing.public_keys(q, user_id))

        return Reply(body=await self._store.read(find))


def people_routes(identity: Identity, store: Store) -> list[Route]:
    """Routes below ``/api/users`` and ``/api/sessions``."""
    api, one = _PeopleApi(identity, store), "/api/users/{user_id}"
    return [
        Route("POST", "/api/users", _MANAGE, api.create, "Add a person", NewUser, User, TAG),
        Route("GET", "/api/users", _MANAGE, api.list, "People by username", None, UserList, TAG),
        Route("GET", one, _MANAGE, api.get, "A person", None, User, TAG),
        Route("PATCH", one, _MANAGE, api.change, "Change, disable or enable a person", UserChange, User, TAG),
        Route(
            "POST", f"{one}/password", _MANAGE, api.reset_password, "Set a person's password, ending their sessions",
            PasswordReset, None, TAG,
        ),
        Route("GET", f"{one}/sessions", _MANAGE, api.sessions, "A person's running sessions", None, SessionList, TAG),
        Route("DELETE", f"{one}/sessions", _MANAGE, api.end_all, "End all sessions of a person at once", None, Ended, TAG),
        Route("DELETE", "/api/sessions/{session_id}", _MANAGE, api.end_one, "End a session at once", None, Ended, TAG),
        Route(
            "GET", f"{one}/signing-key", "note.read", api.signing_keys, "A person's public keys, to check signatures",
            None, SigningKeys, TAG,
        ),
    ]  # fmt: skip


def _about_user(request: Request) -> str:
    user_id = request.parameters["user_id"]
    request.about(resource=f"user/{user_id}")
    return user_id
