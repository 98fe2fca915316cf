"""Templates of notes over HTTP: list, read, download, check, edit with If-Match, take back, every version.

Clinicians have versions of their own (``/api/note-templates``). Whoever runs the node keeps the hospital's
(``/api/hospital/note-templates``), which count for everybody who has none of their own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Final

import msgspec

from appliance.care.model import Heading
from appliance.care.templates import shelf
from appliance.care.templates.layout import MAX_CHARACTERS, parse
from appliance.plugin_api.http import SELF, AnyRoute, Reply, Request, Route
from appliance.plugin_api.storage import Store, Transaction
from appliance.records.repository import parse_version

TAG: Final = "notes"


class EditTemplate(msgspec.Struct, forbid_unknown_fields=True):
    """The file's text (TOML)."""

    text: Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_CHARACTERS)]


class TemplateSummary(msgspec.Struct):
    """A line of the list. ``source`` says whose text it is; ``builtin``: the product has a file of this name."""

    name: str
    title: str
    version: int
    builtin: bool
    source: shelf.Source


class TemplateList(msgspec.Struct):
    """What this person can choose. ``default``: what a dictation gets whose client names none."""

    templates: list[TemplateSummary]
    default: str


class TemplateView(msgspec.Struct):
    """A template with its file's text and what was read from it, as in the list."""

    name: str
    title: str
    version: int
    builtin: bool
    source: shelf.Source
    sha256: str
    created_at: str | None
    headings: tuple[Heading, ...]
    text: str


class TemplateVersion(msgspec.Struct):
    """One version; ``text`` null: own versions were taken back."""

    version: int
    text: str | None
    created_at: str | None


class TemplateVersions(msgspec.Struct):
    """Every version, first to last."""

    versions: list[TemplateVersion]


class CheckedTemplate(msgspec.Struct):
    """What was understood of a text that nobody kept."""

    title: str
    headings: tuple[Heading, ...]


@dataclass(frozen=True)
class _Owner:
    """Whose versions a set of routes keeps, where, and who may."""

    base: str
    whose: str
    may_read: str
    may_write: str
    of: Callable[[Request], str]


PERSON: Final = _Owner(
    "/api/note-templates", "own", "note.read", "note.write", lambda request: request.principal.user_id
)
HOSPITAL: Final = _Owner(
    "/api/hospital/note-templates", "the hospital's", "node.read", "node.manage", lambda _: shelf.HOSPITAL
)


class TemplateRoutes:
    """Handlers for the versions of one kind of owner.

    ``now`` tells the moment as a FHIR instant; ``default`` is the template of a dictation whose client names none.
    """

    def __init__(self, store: Store, now: Callable[[], str], default: str, owner: _Owner = PERSON) -> None:
        self._store = store
        self._now = now
        self._default = default
        self._owner = owner

    def routes(self) -> list[AnyRoute]:
        """All of them."""
        base, may_read, may_write = self._owner.base, self._owner.may_read, self._owner.may_write
        one, whose = base + "/{name}", self._owner.whose
        return [
            Route("GET", base, may_read, self.list, f"Templates of notes ({whose})", None, TemplateList, TAG),
            Route("GET", one, may_read, self.read, f"A template ({whose})", None, TemplateView, TAG),
            Route("GET", one + "/file", may_read, self.file, f"A template as a TOML file ({whose})", None, None, TAG),
            Route("GET", one + "/versions", may_read, self.versions, f"Every version of a template ({whose})",
                  None, TemplateVersions, TAG),
            Route("PUT", one, may_write, self.edit, f"Keep a version of a template ({whose}; If-Match)",
                  EditTemplate, TemplateView, TAG),
            Route("DELETE", one, may_write, self.take_back, f"Take back the versions of a template ({whose}; If-Match)",
                  None, None, TAG),
        ]  # fmt: skip

    async def list(self, request: Request) -> Reply:
        """``GET /api/note-templates``."""
        found = await self._store.read(lambda q: shelf.everything(q, self._owner.of(request)))
        lines = [
            TemplateSummary(one.name, one.layout.title, one.version, one.name in shelf.builtin(), one.source)
            for one in found
        ]
        return Reply(body=TemplateList(lines, self._default))

    async def read(self, request: Request) -> Reply:
        """``GET /api/note-templates/{name}``; the ETag is the version."""
        return _reply(await self._template(request))

    async def file(self, request: Request) -> Reply:
        """``GET /api/note-templates/{name}/file``."""
        found = await self._template(request)
        headers = {
            "Content-Disposition": f'attachment; filename="{found.name}.toml"',
            "ETag": f'"{found.version}"',
        }
        return Reply(body=(found.text or "").encode(), headers=headers, content_type="application/toml")

    async def versions(self, request: Request) -> Reply:
        """``GET /api/note-templates/{name}/versions``."""
        who, name = self._owner.of(request), request.parameters["name"]
        found = await self._store.read(lambda q: shelf.versions(q, who, name))
        return Reply(body=TemplateVersions([TemplateVersion(one.version, one.text, one.created_at) for one in found]))

    async def edit(self, request: Request) -> Reply:
        """``PUT /api/note-templates/{name}``."""
        asked = await request.body(EditTemplate)
        return await request.commit(lambda tx: _reply(self._keep(tx, request, asked.text)))

    async def take_back(self, request: Request) -> Reply:
        """``DELETE /api/note-templates/{name}``."""

        def change(tx: Transaction) -> Reply:
            self._keep(tx, request, None)
            return Reply(204)

        return await request.commit(change)

    def _keep(self, tx: Transaction, request: Request, text: str | None) -> shelf.Template:
        header = request.headers.get("if-match")
        seen = None if header is None else parse_version(header)
        name = request.parameters["name"]
        return shelf.keep(tx, self._owner.of(request), name, text, seen=seen, now=self._now())

    async def _template(self, request: Request) -> shelf.Template:
        name = request.parameters["name"]
        return await self._store.read(partial(shelf.get, owner=self._owner.of(request), name=name))


def check_route() -> AnyRoute:
    """The one that keeps nothing: anybody who is signed in may ask whether a text would be taken."""
    return Route("POST", "/api/note-templates/check", SELF, check, "Check a template's text without keeping it",
                 EditTemplate, CheckedTemplate, TAG)  # fmt: skip


async def check(request: Request) -> Reply:
    """``POST /api/note-templates/check``: 422 with line and reason, or what was understood."""
    layout = parse((await request.body(EditTemplate)).text, "check", 0)
    return Reply(body=CheckedTemplate(layout.title, layout.headings))


def _reply(found: shelf.Template) -> Reply:
    layout = found.layout
    view = TemplateView(
        name=found.name,
        title=layout.title,
        version=found.version,
        builtin=found.name in shelf.builtin(),
        source=found.source,
        sha256=layout.sha256,
        created_at=found.created_at,
        headings=layout.headings,
        text=found.text or "",
    )
    return Reply(body=view, headers={"ETag": f'"{found.version}"'})
