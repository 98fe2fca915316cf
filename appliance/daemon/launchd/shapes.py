"""The shapes that a property list's value may have, and what is wrong with one that has another."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong: in which file, under which key (``KeepAlive.Crashed``), and what."""

    file: str
    key: str
    what: str

    def __str__(self) -> str:
        return f"{self.file}: {self.key}: {self.what}"


class Shape(Protocol):
    """``faults`` yields (key, what) for everything in ``value`` that does not fit; ``name`` is what a person reads."""

    @property
    def name(self) -> str: ...

    def faults(self, key: str, value: Any) -> Iterator[tuple[str, str]]: ...


@dataclass(frozen=True, slots=True)
class Plain:
    """A string, an integer or a boolean; ``choices`` are the only values allowed, ``least`` the smallest number."""

    kind: type
    name: str
    choices: tuple[str, ...] = ()
    least: int | None = None

    def faults(self, key: str, value: Any) -> Iterator[tuple[str, str]]:
        """See ``Shape``. A boolean is no integer here, though Python takes it for one."""
        if type(value) is not self.kind:
            yield key, f"must be {self.name}, not {type(value).__name__}"
        elif self.choices and value not in self.choices:
            yield key, f"must be one of {', '.join(self.choices)}, not {value!r}"
        elif self.least is not None and isinstance(value, int) and value < self.least:
            yield key, f"must be at least {self.least}, not {value}"


@dataclass(frozen=True, slots=True)
class ListOf:
    """An array that is not empty."""

    item: Shape

    @property
    def name(self) -> str:
        """What a person reads."""
        return f"an array of {self.item.name}"

    def faults(self, key: str, value: Any) -> Iterator[tuple[str, str]]:
        """See ``Shape``."""
        if not isinstance(value, list):
            yield key, f"must be {self.name}, not {type(value).__name__}"
            return
        if not value:
            yield key, "must not be empty"
        for index, item in enumerate(value):
            yield from self.item.faults(f"{key}[{index}]", item)


@dataclass(frozen=True, slots=True)
class TableOf:
    """A dictionary whose keys are free and whose values share a shape."""

    item: Shape

    @property
    def name(self) -> str:
        """What a person reads."""
        return f"a dictionary of {self.item.name}"

    def faults(self, key: str, value: Any) -> Iterator[tuple[str, str]]:
        """See ``Shape``."""
        if not isinstance(value, dict):
            yield key, f"must be {self.name}, not {type(value).__name__}"
            return
        for inner, item in value.items():
            yield from self.item.faults(f"{key}.{inner}", item)


@dataclass(frozen=True, slots=True)
class Keys:
    """A dictionary whose keys are known, none of them required."""

    known: Mapping[str, Shape]
    name: str = "a dictionary"

    def faults(self, key: str, value: Any) -> Iterator[tuple[str, str]]:
        """See ``Shape``."""
        if not isinstance(value, dict):
            yield key, f"must be {self.name}, not {type(value).__name__}"
            return
        for inner, item in value.items():
            place = f"{key}.{inner}" if key else str(inner)
            shape = self.known.get(inner)
            if shape is None:
                yield place, "unknown key"
            else:
                yield from shape.faults(place, item)


@dataclass(frozen=True, slots=True)
class Either:
    """One of several shapes. What is told is what is wrong with the one that came nearest."""

    shapes: tuple[Shape, ...]

    @property
    def name(self) -> str:
        """What a person reads."""
        return " or ".join(shape.name for shape in self.shapes)

    def faults(self, key: str, value: Any) -> Iterator[tuple[str, str]]:
        """See ``Shape``."""
        found = [list(shape.faults(key, value)) for shape in self.shapes]
        if not all(found):
            return
        inside = next((faults for faults in found if faults[0][0] != key), None)
        yield from inside or [(key, f"must be {self.name}, not {type(value).__name__}")]
