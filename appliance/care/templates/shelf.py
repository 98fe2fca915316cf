"""Where templates are kept: the product's own as files, the hospital's and every person's versions of them in the record.

A person's own goes before the hospital's, the hospital's before the product's. What is in the record follows to the other node
and outlives updates of the program. Plain functions on a transaction. Versions are never changed or deleted; taking
one's own version back is a version too.
"""

from __future__ import annotations

import re
from functools import lru_cache
from importlib import resources
from typing import Final, Literal

import msgspec

from appliance.care.model import Layout
from appliance.care.templates.faults import whole
from appliance.care.templates.layout import parse
from appliance.plugin_api.errors import define
from appliance.plugin_api.storage import Query, Transaction

UNKNOWN = define(
    "template.unknown",
    404,
    pt=("Não há modelo de nota chamado {name}.", "Escolha um da lista de modelos."),
    en=("There is no note template called {name}.", "Choose one of the list of templates."),
)
VERSION_REQUIRED = define(
    "template.version_required",
    428,
    pt=("Falta dizer qual versão do modelo você leu.", "Envie If-Match com a versão atual; 0 para um modelo novo."),
    en=("It is missing which version of the template you read.", "Send If-Match with its version; 0 for a new one."),
)
VERSION_CHANGED = define(
    "template.version_changed",
    412,
    pt=("O modelo mudou: a versão atual é a {version}.", "Leia a versão atual e repita a mudança."),
    en=(
        "The template has changed: the current version is {version}.",
        "Read the current version and repeat the change.",
    ),
)
DEFAULT: Final = "soap"
HOSPITAL: Final = ""
"""The owner of the hospital's versions, which count for everybody who has none of their own."""
MAX_OWN: Final = 100
NAME: Final = re.compile(r"[a-z][a-z0-9-]{0,39}")


Source = Literal["product", "hospital", "own"]


class Template(msgspec.Struct, frozen=True):
    """A template as its owner sees it.

    ``version`` counts the owner's own versions, 0: they never had one; ``source`` says whose text it is; ``text`` None: taken
    back, and nothing under it.
    """

    name: str
    version: int
    text: str | None
    created_at: str | None = None
    source: Source = "product"

    @property
    def layout(self) -> Layout:
        """Its headings. Raises ``template.unknown`` where there is no text."""
        if self.text is None:
            raise UNKNOWN(field="template", name=self.name)
        return parse(self.text, self.name, self.version)


@lru_cache(maxsize=1)
def builtin() -> dict[str, str]:
    """The product's files by name."""
    folder = resources.files("appliance.care.templates") / "builtin"
    files = [entry for entry in folder.iterdir() if entry.name.endswith(".toml")]
    return {entry.name.removesuffix(".toml"): entry.read_text(encoding="utf-8") for entry in sorted(files, key=str)}


def get(q: Query, owner: str, name: str) -> Template:
    """The template as ``owner`` has it.

    Raises:
        ProntuarioError: ``template.unknown`` 404.
    """
    found = _current(q, owner, name)
    if found.text is None:
        raise UNKNOWN(field="template", name=name[:80])
    return found


def everything(q: Query, owner: str) -> list[Template]:
    """Every template that ``owner`` can choose, by name."""
    asked = "SELECT DISTINCT name FROM care_template_version WHERE owner IN (?, ?)"
    kept = {str(row[0]) for row in q.all(asked, (owner, HOSPITAL))}
    found = [_current(q, owner, name) for name in sorted(kept | builtin().keys())]
    return [template for template in found if template.text is not None]


def versions(q: Query, owner: str, name: str) -> list[Template]:
    """Every version of the owner's, first to last; version 0 is what they have without one."""
    asked = "SELECT version, text, created_at FROM care_template_version WHERE owner = ? AND name = ? ORDER BY version"
    own = [
        Template(name, int(str(row[0])), None if row[1] is None else str(row[1]), str(row[2]), _source(owner))
        for row in q.all(asked, (owner, name))
    ]
    below = _below(q, owner, name)
    found = own if below.text is None else [below, *own]
    if not found:
        raise UNKNOWN(field="template", name=name[:80])
    return found


def keep(tx: Transaction, owner: str, name: str, text: str | None, *, seen: int | None, now: str) -> Template:
    """Keep a new version; None takes one's own versions back. ``seen``: the version that the person had before them.

    Raises:
        ProntuarioError: ``template.invalid`` 422, ``template.version_required`` 428, ``template.version_changed`` 412,
            ``template.unknown`` 404.
    """
    if not NAME.fullmatch(name):
        pt = "o nome tem até 40 letras minúsculas sem acento, algarismos e hifens, e começa por letra"
        raise whole("name", pt=pt, en="a name is up to 40 small letters, digits and hyphens, a letter first")
    current = _current(tx, owner, name)
    if seen is None:
        raise VERSION_REQUIRED(field="If-Match")
    if seen != current.version:
        raise VERSION_CHANGED(field="If-Match", version=current.version)
    if text is None:
        if current.source != _source(owner):
            raise UNKNOWN(field="template", name=name)
    else:
        parse(text, name, current.version + 1)
        if current.version == 0 and _owned(tx, owner) >= MAX_OWN:
            pt, en = f"ninguém guarda mais de {MAX_OWN} modelos", f"nobody keeps more than {MAX_OWN} templates"
            raise whole("name", pt=pt, en=en)
    tx.execute(
        "INSERT INTO care_template_version (owner, name, version, text, created_at) VALUES (?, ?, ?, ?, ?)",
        (owner, name, current.version + 1, text, now),
    )
    return _current(tx, owner, name)


def _owned(q: Query, owner: str) -> int:
    row = q.one("SELECT count(DISTINCT name) FROM care_template_version WHERE owner = ?", (owner,))
    return 0 if row is None else int(str(row[0]))


def _current(q: Query, owner: str, name: str) -> Template:
    row = q.one(
        "SELECT version, text, created_at FROM care_template_version WHERE owner = ? AND name = ?"
        " ORDER BY version DESC LIMIT 1",
        (owner, name),
    )
    if row is not None and row[1] is not None:
        return Template(name, int(str(row[0])), str(row[1]), str(row[2]), _source(owner))
    below = _below(q, owner, name)
    return below if row is None else msgspec.structs.replace(below, version=int(str(row[0])), created_at=str(row[2]))


def _below(q: Query, owner: str, name: str) -> Template:
    """What the owner has without a version of their own, as version 0."""
    if owner == HOSPITAL:
        return Template(name, 0, builtin().get(name))
    return msgspec.structs.replace(_current(q, HOSPITAL, name), version=0)


def _source(owner: str) -> Source:
    return "hospital" if owner == HOSPITAL else "own"
