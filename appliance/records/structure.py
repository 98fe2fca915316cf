"""Checks beyond the JSON schema: required elements, choices, bound codes, calendar dates, reference targets.

Driven by the table of elements that ``tools/fhir_tables`` makes from the StructureDefinitions.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from appliance.records import tables
from appliance.records.dates import is_calendar_date
from appliance.records.issues import Issue, Sentence, path_of
from appliance.records.tables import Child, TypeEntry

Location = tuple[str | int, ...]
_IN_BUNDLES_ONLY: Final = "urn:"


def structural_issues(resource: dict[str, Any], root: str, location: Location = ()) -> Iterator[Issue]:
    """Faults of ``resource`` (whose shape the schema has accepted); contained resources are not entered."""
    entry = tables.elements().types.get(resource.get("resourceType", ""))
    if entry is not None:
        yield from _Walk(root).element(resource, entry, location)


class _Walk:
    def __init__(self, root: str) -> None:
        self._root = root
        self._types = tables.elements().types
        self._codes = tables.elements().codes

    def element(self, value: dict[str, Any], entry: TypeEntry, location: Location) -> Iterator[Issue]:
        if not value:
            yield self._issue(
                location,
                "structure",
                ("Um elemento precisa de valor ou de filhos.", "An element must have a value or children."),
            )
        yield from self._groups(value, entry, location)
        children = entry.children
        for name, child_value in value.items():
            child = children.get(name)
            if isinstance(child_value, list):
                if not child_value:
                    yield self._issue(
                        (*location, name), "structure", ("Uma lista não pode ser vazia.", "An array must not be empty.")
                    )
                if child is not None:
                    for index, item in enumerate(child_value):
                        yield from self._child(item, child, (*location, name, index))
            elif child is not None:
                yield from self._child(child_value, child, (*location, name))

    def _groups(self, value: dict[str, Any], entry: TypeEntry, location: Location) -> Iterator[Issue]:
        for names in entry.required:
            if not any(name in value or f"_{name}" in value for name in names):
                shown = names[0] if len(names) == 1 else _choice_name(names)
                yield self._issue(
                    (*location, shown), "required", ("Este elemento é obrigatório.", "This element is required.")
                )
        for names in entry.choices:
            given = [name for name in names if name in value or f"_{name}" in value]
            if len(given) > 1:
                yield self._issue(
                    (*location, given[1]),
                    "structure",
                    ("Só um tipo deste elemento pode ser informado.", "Only one type of this element may be given."),
                )

    def _child(self, value: Any, child: Child, location: Location) -> Iterator[Issue]:
        if child.of is not None:
            if isinstance(value, dict):
                if child.of == "Reference" and child.targets is not None:
                    yield from self._target(value, child.targets, location)
                yield from self.element(value, self._types[child.of], location)
        elif child.date is not None:
            if isinstance(value, str) and not is_calendar_date(value):
                yield self._issue(
                    location, "value", ("Esta data não existe no calendário.", "This date is not in the calendar.")
                )
        elif child.codes is not None and value not in self._codes[child.codes]:
            yield self._issue(
                location,
                "code-invalid",
                (
                    f"O código não está em {child.codes}.",
                    f"The code is not in {child.codes}.",
                ),
            )

    def _target(self, value: dict[str, Any], targets: tuple[str, ...], location: Location) -> Iterator[Issue]:
        reference = value.get("reference")
        if not isinstance(reference, str) or reference.startswith(("#", _IN_BUNDLES_ONLY)):
            return
        named = reference_type(reference)
        if named is not None and named not in targets:
            yield self._issue(
                (*location, "reference"),
                "value",
                (
                    f"O alvo deve ser um destes: {', '.join(targets)}.",
                    f"The target must be one of: {', '.join(targets)}.",
                ),
            )

    def _issue(self, location: Location, code: str, text: Sentence) -> Issue:
        return Issue(path_of(self._root, location), code, text)


def reference_type(reference: str) -> str | None:
    """The resource type that ``reference`` names (``Patient/12``, ``https://…/Patient/12/_history/1``), if it does."""
    path = reference.partition("/_history/")[0].partition("?")[0]
    parts = path.split("/")
    named_before = 1 if "?" in reference else 2
    candidate = parts[-named_before] if len(parts) >= named_before else ""
    return candidate if candidate[:1].isupper() and candidate.isalpha() else None


def _choice_name(names: tuple[str, ...]) -> str:
    """``valueQuantity, valueString`` → ``value``."""
    shortest = min(names, key=len)
    for end in range(len(shortest), 0, -1):
        if all(name.startswith(shortest[:end]) for name in names) and all(
            name[end : end + 1].isupper() for name in names
        ):
            return shortest[:end]
    return names[0]
