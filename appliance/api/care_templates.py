"""Templates of notes over HTTP: list, read, download, edit with If-Match, take back, every version."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Final

import msgspec

from appliance.care.model import Heading
from appliance.care.service import Consults
from appliance.care.templates import shelf
from appliance.care.templates.layout import MAX_CHARACTERS
from appliance.plugin_api.http import AnyRoute, Reply, Request, Route
from appliance.plugin_api.storage import Transaction
from appliance.records.repository import parse_version

TAG: Final = "notes"


class EditTemplate(msgspec.Struct, forbid_unknown_fields=True):
    """The file's text (TOML)."""

    text: Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_CHARACTERS)]


class TemplateSummary(msgspec.Struct):
    """A line of the list. ``version`` 0: the product's file; more: this person's own."""

    name: str
    title: str
    version: int
    builtin: bool


class TemplateList(msgspec.Struct):
    """What this person can choose. ``default``: what a dictation gets whose client names none."""

    templates: list[TemplateSummary]
    default: str


class TemplateView(msgspec.Struct):
    """A template with its file's text and what was read from it. ``builtin``: the product has a file of this name."""

    name: str
    title: str
    version: int
    builtin: bool
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


class TemplateRoutes:
    """Handlers over one node's consults. Everybody sees the product's templates and edits copies of their own."""

    def __init__(self, consults: Consults) -> None:
        self._consults = consults

    def routes(self) -> list[AnyRoute]:
        """All of them."""
        base, one = "/api/note-templates", "/api/note-templates/{name}"
        return [
            Route("GET", base, "note.read", self.list, "Templates of notes", None, TemplateList, TAG),
            Route("GET", one, "note.read", self.read, "A template", None, TemplateView, TAG),
            Route("GET", one + "/file", "note.read", self.file, "A template as a TOML file", None, None, TAG),
            Route("GET", one + "/versions", "note.read", self.versions, "Every version of a template", None, TemplateVersions, TAG),
            Route("PUT", one, "note.write", self.edit, "Keep an own version of a template (If-Match)",
                  EditTemplate, TemplateView, TAG),
            Route("DELETE", one, "note.write", self.take_back, "Return to the product's template (If-Match)", None, None, TAG),
        ]  # fmt: skip

    async def list(self, request: Request) -> Reply:
        """``GET /api/note-templates``."""
        found = await self._consults.store.read(lambda q: shelf.everything(q, request.principal.user_id))
        lines = [TemplateSummary(one.name, one.layout.title, one.version, one.name in shelf.builtin()) for one in found]
        return Reply(body=TemplateList(lines, self._consults.template))

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
        who, name = request.principal.user_id, request.parameters["name"]
        found = await self._consults.store.read(lambda q: shelf.versions(q, who, name))
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
        return shelf.keep(tx, request.principal.user_id, name, text, seen=seen, now=self._consults.now())

    async def _template(self, request: Request) -> shelf.Template:
        name = request.parameters["name"]
        return await self._consults.store.read(partial(shelf.get, owner=request.principal.user_id, name=name))


def _reply(found: shelf.Template) -> Reply:
    layout = found.layout
    view = TemplateView(
        name=found.name,
        title=layout.title,
        version=found.version,
        builtin=found.name in shelf.builtin(),
        sha256=layout.sha256,
        created_at=found.created_at,
        headings=layout.headings,
        text=found.text or "",
    )
    return Reply(body=view, headers={"ETag": f'"{found.version}"'})
