"""Static folders: files as they are, and never anything outside the folder."""

from __future__ import annotations

import asyncio
import mimetypes
from pathlib import Path
from typing import Any, Final

from appliance.api.context import ApiRequest
from appliance.api.door import Door
from appliance.api.errors import ROUTE_UNKNOWN
from appliance.api.replies import Answer
from appliance.api.routing import Match
from appliance.plugin_api.http import Reply, Route, StaticFolder

MAX_FILE_BYTES: Final = 64 << 20
PAGE_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


async def serve_file(door: Door, scope: Any, match: Match) -> Answer:
    """The file below the folder that ``match`` names; the folder's permission is checked at the door like any other."""
    folder: StaticFolder = match.route  # type: ignore[assignment]

    async def read(_request: ApiRequest) -> Reply:
        found = await asyncio.to_thread(_read, folder.folder, match.rest)
        if found is None:
            raise ROUTE_UNKNOWN()
        data, kind = found
        headers = {
            "content-security-policy": PAGE_POLICY,
            "cache-control": "no-cache",
            "referrer-policy": "no-referrer",
        }
        return Reply(200, data, headers, kind)

    route = Route("GET", folder.prefix, folder.permission, read, "A file")
    return await door.answer(route, ApiRequest(scope, route, {}, door))


def _read(folder: Path, parts: tuple[str, ...]) -> tuple[bytes, str] | None:
    """Contents and media type, or None: for what is missing, hidden, too large, unreadable, or outside the folder."""
    if any(part in {"", ".", ".."} or part.startswith(".") or "/" in part or "\\" in part for part in parts):
        return None
    base = folder.resolve()
    try:
        path = base.joinpath(*parts).resolve()
        if path.is_dir():
            path = (path / "index.html").resolve()
        if not path.is_relative_to(base) or not path.is_file() or path.stat().st_size > MAX_FILE_BYTES:
            return None
        data = path.read_bytes()
    except OSError:  # a name longer than the file system takes, a file that vanished
        return None
    kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    return data, f"{kind}; charset=utf-8" if kind.startswith("text/") else kind
