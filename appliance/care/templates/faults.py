"""What is wrong with a template's file, where, and in both languages: a person corrects it in an editor that counts lines."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from appliance.plugin_api.errors import ProntuarioError, define

INVALID = define(
    "template.invalid",
    422,
    pt=("O modelo de nota não pode ser usado: {reason_pt}.", "Corrija o texto e envie de novo; nada foi guardado."),
    en=("The note template cannot be used: {reason}.", "Correct the text and send it again; nothing was kept."),
)
HEADING: Final = "heading"
_TABLE: Final = re.compile(r"^\s*\[")
_HEADING_TABLE: Final = re.compile(rf"^\s*\[\[\s*[\"']?{HEADING}[\"']?\s*\]\]")
_SYNTAX: Final = re.compile(r"(?P<what>.*?) \(at (?:line (?P<line>\d+), column (?P<column>\d+)|end of document)\)")
_PLACE: Final = re.compile(r"(?P<what>.*?)(?: - at `\$(?P<path>[^`]*)`)?")
_PATH: Final = re.compile(rf"(?:\.{HEADING}\[(?P<at>\d+)\])?(?:\.?(?P<key>\w+))?.*")
_KNOWN: Final = (
    (r"Object missing required field `(.+)`", r"falta o campo \1", r"the field \1 is missing"),
    (r"Object contains unknown field `(.+)`", r"o campo \1 não existe em um modelo", r"templates have no field \1"),
    (r"Invalid enum value '(.+)'", r"“\1” não serve; valem S, O, A e P", r"“\1” is none of S, O, A and P"),
    (r"Expected `str` of length >= 1", "o texto está vazio", "the text is empty"),
    (r"Expected `str` of length <= (\d+)", r"mais de \1 letras", r"a length of more than \1 letters"),
    (r"Expected `array` of length >= 1", "a lista está vazia", "the list is empty"),
    (r"Expected `array` of length <= (\d+)", r"mais de \1 itens na lista", r"a list of a length of more than \1"),
    (r"Expected `str` matching regex .*\[0-9\].*", "um código LOINC tem a forma 61150-9", "a LOINC code looks like 61150-9"),
    (r"Expected `str` matching regex .*", "caracteres que não se imprimem", "characters that can't be printed"),
    (r"Expected `str(?: \| null)?`, got `.+`", "aqui cabe um texto entre aspas", "a text in quotes belongs here"),
    (r"Expected `array`, got `.+`", "aqui cabe uma lista entre colchetes", "a list in brackets belongs here"),
)  # fmt: skip
"""msgspec's and tomllib's sentences, as people who write notes say it."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where in the file: ``heading`` counts from 0, None is the beginning of the file; ``key`` empty is the whole of it."""

    heading: int | None = None
    key: str = ""

    def line(self, text: str) -> int:
        """Its line from 1; that of its heading when it stands nowhere; 0 when the file is written in another way."""
        lines = text.split("\n")
        begin, end = 0, len(lines)
        starts = [number for number, line in enumerate(lines) if _HEADING_TABLE.match(line)]
        if self.heading is None:
            end = next((number for number, line in enumerate(lines) if _TABLE.match(line)), end)
        elif self.heading < len(starts):
            begin = starts[self.heading]
            end = next((start for start in starts if start > begin), end)
        else:
            return 0
        named = re.compile(rf"^\s*[\"']?{re.escape(self.key)}[\"']?\s*=") if self.key else None
        found = (number for number in range(begin, end) if named is not None and named.match(lines[number]))
        return next(found, begin) + 1

    def told(self, text: str) -> tuple[str, str]:
        """(pt, en): the line and what stands there, each followed by a colon."""
        line = self.line(text)
        heading = "" if self.heading is None else f"{self.heading + 1}º título, "
        of_heading = "" if self.heading is None else f"heading {self.heading + 1}, "
        pt = f"{f'linha {line}, ' if line else ''}{heading}{self.key}"
        en = f"{f'line {line}, ' if line else ''}{of_heading}{self.key}"
        return f"{pt.rstrip(', ')}: ", f"{en.rstrip(', ')}: "


def fault(text: str, place: Place, *, pt: str, en: str) -> ProntuarioError:
    """``template.invalid`` with the line, for whoever looks at the text in an editor."""
    before_pt, before_en = place.told(text)
    return INVALID(field="text", line=place.line(text), reason_pt=before_pt + pt, reason=before_en + en)


def whole(field: str, *, pt: str, en: str) -> ProntuarioError:
    """``template.invalid`` for what has no line: the name, or the text as a whole."""
    return INVALID(field=field, line=0, reason_pt=pt, reason=en)


def of_syntax(message: str) -> ProntuarioError:
    """What tomllib complains of: it tells line and column in its sentence, or that the text ended too early."""
    told = _SYNTAX.fullmatch(message)
    if told is None:
        return whole("text", pt=f"não é TOML ({message})", en=f"it is no TOML ({message})")
    what = told["what"]
    if told["line"] is None:
        return whole(
            "text", pt=f"o texto acaba no meio de algo ({what})", en=f"it ends in the middle of something ({what})"
        )
    line, column = told["line"], told["column"]
    return INVALID(
        field="text",
        line=int(line),
        reason_pt=f"linha {line}, coluna {column}: isto não é TOML ({what})",
        reason=f"line {line}, column {column}: this is no TOML ({what})",
    )


def of_shape(message: str, text: str) -> ProntuarioError:
    """What msgspec complains of: which field, by its path."""
    told = _PLACE.fullmatch(message)
    path = _PATH.fullmatch((told and told["path"]) or "")
    what = told["what"] if told else message
    at, key = (path["at"], path["key"] or "") if path else (None, "")
    place = Place(None if at is None else int(at), key)
    for pattern, pt, en in _KNOWN:
        if (found := re.fullmatch(pattern, what)) is not None:
            named = found[1] if "unknown field" in pattern else key
            return fault(text, Place(place.heading, named), pt=found.expand(pt), en=found.expand(en))
    return fault(text, place, pt=what, en=what)
