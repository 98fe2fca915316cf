"""The table of analytes and units: ours, and before it a file of the hospital's own."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from importlib import resources
from pathlib import Path
from typing import Annotated

import msgspec

from plugins.document_reader.lab.folding import folded, name_of, unit_of

Range = tuple[float, float]


class Analyte(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One line: see the head of ``analytes.toml``."""

    loinc: Annotated[str, msgspec.Meta(pattern=r"^\d{1,7}-\d$")]
    display: str
    names: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]
    units: Annotated[dict[str, Range], msgspec.Meta(min_length=1)]
    same: dict[str, str] = {}

    def believes(self, ucum: str, value: Decimal) -> bool:
        """Whether a living person can have this."""
        low, high = self.units[ucum]
        return Decimal(str(low)) <= value <= Decimal(str(high))


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    units: dict[str, tuple[str, ...]] = {}
    misread: dict[str, str] = {}
    analyte: tuple[Analyte, ...] = ()


class Table:
    """What printed names and units mean."""

    def __init__(self, files: Sequence[_File]) -> None:
        """Earlier files win.

        Raises:
            ValueError: a name stands for two analytes, or an analyte has a unit that no file lists.
        """
        self._units: dict[str, str] = {}
        self._misread: dict[str, str] = {}
        chosen: dict[str, Analyte] = {}
        for file in files:
            for ucum, printed in file.units.items():
                for form in (ucum, *printed):
                    self._units.setdefault(unit_of(form), ucum)
            for seen, printed_unit in file.misread.items():
                self._misread.setdefault(unit_of(seen), unit_of(printed_unit))
            for analyte in file.analyte:
                chosen.setdefault(analyte.loinc, analyte)
        self._names = _by_name(chosen.values(), set(self._units.values()))
        self.longest_name = max((len(name.split()) for name in self._names), default=0)

    def analyte(self, printed: str) -> Analyte | None:
        """By its whole printed name only: "hemoglobina glicada" is no "hemoglobina"."""
        return self._names.get(name_of(printed))

    def unit(self, printed: str) -> tuple[str, bool] | None:
        """(UCUM code, whether only a known misreading of it was found); None for what the table does not have."""
        form = unit_of(printed)
        if form in self._units:
            return self._units[form], False
        taken_for = self._misread.get(form)
        return None if taken_for is None else (self._units[taken_for], True)


def _by_name(analytes: Iterable[Analyte], units: set[str]) -> Mapping[str, Analyte]:
    names: dict[str, Analyte] = {}
    for analyte in analytes:
        unknown = (set(analyte.units) | set(analyte.same)) - units
        if unknown or set(analyte.same.values()) - set(analyte.units):
            raise ValueError(f"analyte {analyte.loinc} has a unit that is not listed: {sorted(unknown)}")
        for name in analyte.names:
            if names.setdefault(name_of(name), analyte) is not analyte:
                raise ValueError(f"the name {folded(name)!r} stands for two analytes")
    return names


def standard_table(own: Path | None = None) -> Table:
    """Our table, behind the file ``own`` if there is one.

    Raises:
        ValueError, OSError: the file is not there, or not in form.
    """
    ours = resources.files("plugins.document_reader.lab").joinpath("analytes.toml").read_text(encoding="utf-8")
    texts = ([own.read_text(encoding="utf-8")] if own else []) + [ours]
    try:
        return Table([msgspec.convert(tomllib.loads(text), _File) for text in texts])
    except msgspec.ValidationError as error:
        raise ValueError(f"the table of analytes is not in form: {error}") from error
