"""One search parameter with its value, as a condition on the index tables (FHIR R4 §3.1.1.4)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from appliance.plugin_api.storage import SqlValue
from appliance.records import tables
from appliance.records.dates import Range, date_range
from appliance.records.errors import NOT_SUPPORTED, PARAMETER_INVALID
from appliance.records.extraction import MAX_INDEXED_LENGTH, local_target
from appliance.records.folding import fold
from appliance.records.tables import SearchParameter

MAX_ALTERNATIVES: Final = 100
_LAST_CHARACTER: Final = "\U0010ffff"
_PREFIXED: Final = re.compile(r"(eq|ne|gt|lt|ge|le|sa|eb|ap)?(.*)", re.DOTALL)
_UNESCAPED_COMMA: Final = re.compile(r"(?<!\\)(?:\\\\)*,")
_UNESCAPED_BAR: Final = re.compile(r"(?<!\\)\|")
_DATE_CONDITIONS: Final = {  # the SQL, and which of the search's (s)tart and (e)nd its marks mean
    "eq": ("{low} >= ? AND {high} <= ? AND {low} < ?", "see"),  # the last one follows, and bounds the index
    "ne": ("NOT ({low} >= ? AND {high} <= ?)", "se"),
    "gt": ("{high} > ?", "e"),
    "lt": ("{low} < ?", "s"),
    "ge": ("{high} > ? AND ({high} > ? OR {low} >= ?)", "ses"),  # the first one follows from the rest
    "le": ("{low} < ? AND ({low} < ? OR {high} <= ?)", "ese"),
    "sa": ("{low} >= ?", "e"),
    "eb": ("{high} <= ?", "s"),
}
_MULTIPLE_PATIENTS: Final = frozenset({"Appointment", "AuditEvent", "Provenance"})


@dataclass(frozen=True, slots=True)
class Criterion:
    """A condition on the rows ``s`` of an index table; ``negated``: no row of the resource may fulfil it."""

    table: str
    by_value: str
    """The index that finds rows by value."""
    condition: str
    values: tuple[SqlValue, ...]
    negated: bool = False
    selective: bool = True
    """Whether ``by_value`` can bound the search at all."""
    patient: str | None = None
    """Set when the condition is just "belongs to this patient"."""

    @property
    def by_row(self) -> str:
        """The index that finds a resource's own rows."""
        return f"{self.table}_row"


def criterion(resource_type: str, code: str, modifier: str, text: str, base_url: str) -> Criterion:
    """The condition for ``code:modifier=text``.

    Raises:
        ProntuarioError: ``fhir.parameter_invalid`` 400, ``fhir.not_supported`` 400.
    """
    parameter = tables.search_parameters()[resource_type][code]
    name = f"{resource_type}.{code}"
    table = f"record_{parameter.kind}"
    if modifier == "missing":
        return _missing(name, table, _boolean(code, text))
    alternatives = split_alternatives(text)
    if len(alternatives) > MAX_ALTERNATIVES or not all(alternatives):
        raise PARAMETER_INVALID(field=code, name=code, reason=f"1 to {MAX_ALTERNATIVES} values, none of them empty")
    builder = _Builder(resource_type, code, modifier, parameter, base_url)
    return builder.build(name, table, alternatives)


def split_alternatives(text: str) -> list[str]:
    r"""``a,b\,c`` → ``["a", "b\,c"]`` (escapes are taken off later: FHIR R4 §3.1.1.4.0.1)."""
    if "," not in text:
        return [text]
    parts: list[str] = []
    start = 0
    for match in _UNESCAPED_COMMA.finditer(text):
        parts.append(text[start : match.end() - 1])
        start = match.end()
    return [*parts, text[start:]]


def unescape(text: str) -> str:
    r"""``\,`` → ``,`` and so on."""
    return re.sub(r"\\([\\,|$])", r"\1", text) if "\\" in text else text


def prefixed_range(name: str, text: str) -> tuple[str, Range]:
    """(prefix, range of milliseconds) of a date value such as ``ge2024-03``."""
    match = _PREFIXED.fullmatch(text)
    prefix, date = (match[1] or "eq", match[2]) if match else ("eq", text)
    if prefix == "ap":
        raise NOT_SUPPORTED(field=name, what="ap")
    try:
        return prefix, date_range(date.replace(" ", "+"))  # an unescaped + of a zone arrives as a space
    except (ValueError, OverflowError) as error:
        raise PARAMETER_INVALID(field=name, name=name, reason="a FHIR date") from error


def date_condition(prefix: str, low: str, high: str, wanted: Range) -> tuple[str, tuple[int, ...]]:
    """SQL on the columns ``low`` and ``high`` of a half-open range (FHIR R4 §3.1.1.4.5); ``wanted`` is the search's."""
    template, order = _DATE_CONDITIONS[prefix]
    return template.format(low=low, high=high), tuple(wanted[0] if letter == "s" else wanted[1] for letter in order)


def _missing(name: str, table: str, missing: bool) -> Criterion:
    return Criterion(table, "", "s.param = ?", (name,), negated=missing, selective=False)


def _boolean(code: str, text: str) -> bool:
    if text not in {"true", "false"}:
        raise PARAMETER_INVALID(field=code, name=f"{code}:missing", reason="true or false")
    return text == "true"


Part = tuple[str, tuple[SqlValue, ...]]


@dataclass(frozen=True, slots=True)
class _Builder:
    resource_type: str
    code: str
    modifier: str
    parameter: SearchParameter
    base_url: str

    def build(self, name: str, table: str, alternatives: list[str]) -> Criterion:
        match self.parameter.kind:
            case "token":
                self._allow("not")
                whole = all(not text.endswith("|") for text in alternatives)
                return self._any(name, table, f"{table}_value", alternatives, self._token, selective=whole)
            case "string":
                self._allow("exact", "contains")
                return self._any(name, table, f"{table}_value", alternatives, self._string)
            case "date":
                self._allow()
                return self._dates(name, table, alternatives)
            case _:
                return self._references(name, table, alternatives)

    def _any(
        self,
        name: str,
        table: str,
        by_value: str,
        texts: Iterable[str],
        part: Callable[[str], Part],
        *,
        selective: bool = True,
    ) -> Criterion:
        parts = [part(text) for text in texts]
        condition = " OR ".join(f"({sql})" for sql, _ in parts)
        values = (name, *(value for _, bound in parts for value in bound))
        negated = self.modifier == "not"
        return Criterion(
            table,
            by_value,
            f"s.param = ? AND ({condition})",
            values,
            negated=negated,
            selective=selective and not negated,
        )

    def _token(self, text: str) -> Part:
        match = _UNESCAPED_BAR.search(text)
        if match is None:
            return "s.code = ?", (unescape(text)[:MAX_INDEXED_LENGTH],)
        system, code = unescape(text[: match.start()]), unescape(text[match.end() :])
        system, code = system[:MAX_INDEXED_LENGTH], code[:MAX_INDEXED_LENGTH]
        return ("s.code = ? AND s.system = ?", (code, system)) if code else ("s.system = ?", (system,))

    def _string(self, text: str) -> Part:
        written = unescape(text)[:MAX_INDEXED_LENGTH]
        folded = fold(written)
        if not folded:
            raise PARAMETER_INVALID(field=self.code, name=self.code, reason="at least one letter")
        if self.modifier == "exact":
            return "s.folded = ? AND s.exact = ?", (folded, written)
        if self.modifier == "contains":
            return "INSTR(s.folded, ?) > 0", (folded,)
        return "s.folded >= ? AND s.folded < ?", (folded, folded + _LAST_CHARACTER)

    def _dates(self, name: str, table: str, alternatives: list[str]) -> Criterion:
        wanted = [prefixed_range(self.code, text) for text in alternatives]
        prefixes = {prefix for prefix, _ in wanted}
        by_high = prefixes <= {"gt", "ge", "eb"}
        by_low = prefixes <= {"eq", "lt", "le", "sa"}
        parts = iter(date_condition(prefix, "s.low", "s.high", span) for prefix, span in wanted)
        by_value = f"{table}_high" if by_high else f"{table}_low"
        return self._any(name, table, by_value, alternatives, lambda _: next(parts), selective=by_high or by_low)

    def _references(self, name: str, table: str, alternatives: list[str]) -> Criterion:
        targets = [target for text in alternatives for target in self._targets(unescape(text))]
        marks = ", ".join("?" * len(targets))
        patient = self._patient(targets)
        return Criterion(
            table, f"{table}_value", f"s.param = ? AND s.target IN ({marks})", (name, *targets), patient=patient
        )

    def _targets(self, text: str) -> list[str]:
        types = self._target_types()
        if self.modifier and self.modifier not in types:
            raise NOT_SUPPORTED(field=self.code, what=f"{self.code}:{self.modifier}"[:80])
        local = local_target(text.removeprefix(self.base_url + "/"))[:MAX_INDEXED_LENGTH]
        if "/" in local or ":" in local:
            return [local]
        return [f"{kind}/{local}" for kind in ([self.modifier] if self.modifier else types)]

    def _target_types(self) -> list[str]:
        if self.code == "patient":
            return ["Patient"]
        served = tables.served_types()
        return [kind for kind in self.parameter.targets if kind in served] or list(served)

    def _patient(self, targets: list[str]) -> str | None:
        only = targets[0] if len(targets) == 1 else ""
        single = self.code in {"patient", "subject", "beneficiary"} and self.resource_type not in _MULTIPLE_PATIENTS
        return only.removeprefix("Patient/") if single and only.startswith("Patient/") else None

    def _allow(self, *modifiers: str) -> None:
        if self.modifier and self.modifier not in modifiers:
            raise NOT_SUPPORTED(field=self.code, what=f"{self.code}:{self.modifier}"[:80])
