"""Errors that a person can act on: a stable code, the field, a sentence and the next step, in pt-BR and en.

An ``ErrorKind`` is declared once, near the code that raises it, and called to make the exception::

    CHUNK_GAP = define("dictation.gap", 409,
                       pt=("Faltam trechos de áudio: {missing}.", "Reenvie os trechos que faltam."),
                       en=("Audio chunks are missing: {missing}.", "Send the missing chunks again."))
    raise CHUNK_GAP(field="sequence", missing=[3, 4])

The API boundary turns it into problem+json (RFC 9457); nobody else needs to know HTTP.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

TYPE_URI_PREFIX: Final = "urn:prontuario:error:"


@dataclass(frozen=True, slots=True)
class ErrorKind:
    """A kind of failure: its code never changes; ``pt`` and ``en`` are (sentence, next step)."""

    code: str
    status: int
    pt: tuple[str, str]
    en: tuple[str, str]

    def __call__(
        self, *, field: str | None = None, retry_after: float | None = None, **details: object
    ) -> ProntuarioError:
        """The exception of this kind; ``details`` fill the sentence and travel to the client (never patient data)."""
        return ProntuarioError(self, field=field, retry_after=retry_after, details=details)


class ProntuarioError(Exception):
    """A failure with an answer. ``retry_after`` is in seconds; ``field`` is a JSON path or a parameter's name."""

    def __init__(
        self,
        kind: ErrorKind,
        *,
        field: str | None = None,
        retry_after: float | None = None,
        details: Mapping[str, object] | None = None,
    ) -> None:
        self.kind = kind
        self.field = field
        self.retry_after = retry_after
        self.details = dict(details or {})
        super().__init__(f"{kind.code}: {self.sentence('en')}" + (f" (field {field})" if field else ""))

    def sentence(self, language: str) -> str:
        """What happened, for a person: ``language`` is ``"pt"`` or ``"en"``."""
        return _fill((self.kind.pt if language == "pt" else self.kind.en)[0], self.details)

    def next_step(self, language: str) -> str:
        """What to do now, for a person."""
        return _fill((self.kind.pt if language == "pt" else self.kind.en)[1], self.details)


class _Blank(dict[str, object]):
    def __missing__(self, key: str) -> str:
        return "?"


def _fill(template: str, details: Mapping[str, object]) -> str:
    return template.format_map(_Blank(details))


_catalogue: dict[str, ErrorKind] = {}


def define(code: str, status: int, *, pt: tuple[str, str], en: tuple[str, str]) -> ErrorKind:
    """Declare an error kind.

    Raises:
        ValueError: the code is already taken by another kind.
    """
    kind = ErrorKind(code, status, pt, en)
    if _catalogue.setdefault(code, kind) != kind:
        raise ValueError(f"error code {code!r} is declared twice")
    return kind


def catalogue() -> Mapping[str, ErrorKind]:
    """Every declared kind by code (the documentation and its test read it)."""
    return dict(_catalogue)


NOT_FOUND = define(
    "not_found",
    404,
    pt=("Não encontramos {what}.", "Confira o endereço ou o identificador."),
    en=("We could not find {what}.", "Check the address or the identifier."),
)
INVALID = define(
    "invalid",
    422,
    pt=("O campo {name} não é válido: {reason}.", "Corrija o campo e envie de novo."),
    en=("The field {name} is not valid: {reason}.", "Correct the field and send again."),
)
CONFLICT = define(
    "conflict",
    409,
    pt=("Alguém mudou isto antes: {what}.", "Leia a versão atual e repita a mudança."),
    en=("Somebody changed this before you: {what}.", "Read the current version and repeat the change."),
)
UNAVAILABLE = define(
    "unavailable",
    503,
    pt=("{what} está indisponível agora.", "Nada se perdeu. Tente de novo em instantes."),
    en=("{what} is unavailable right now.", "Nothing was lost. Try again in a moment."),
)
BUSY = define(
    "busy",
    429,
    pt=("{what} está ocupado: {waiting} na fila.", "Tente de novo em instantes."),
    en=("{what} is busy: {waiting} waiting.", "Try again in a moment."),
)
FORBIDDEN = define(
    "forbidden",
    403,
    pt=("Seu perfil não permite esta ação.", "Peça acesso à administração."),
    en=("Your role does not allow this action.", "Ask an administrator for access."),
)
INTERNAL = define(
    "internal",
    500,
    pt=("Algo falhou do nosso lado.", "Tente de novo; se repetir, informe o código {incident} à TI."),
    en=("Something failed on our side.", "Try again; if it repeats, give IT the code {incident}."),
)
