"""Whether a resource is valid FHIR R4: the official JSON schema, then what the schema cannot say.

Sources: FHIR 4.0.1 JSON schema and StructureDefinitions, see ``definitions/NOTICE``. Not checked: FHIRPath invariants,
profiles, terminology beyond required bindings to enumerable code systems.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from itertools import islice
from typing import Any, Final

import jsonschema_rs

from appliance.records import tables
from appliance.records.issues import MAX_ISSUES, Issue, invalid, path_of, single
from appliance.records.structure import Location, structural_issues

MAX_DEPTH: Final = 40
"""Deepest nesting that is looked at: real resources stay below 20, and recursion must not be a client's to choose."""

_SENTENCES: Final = {
    "AdditionalProperties": ("structure", ("Há um elemento desconhecido.", "An unknown element was given.")),
    "Required": ("required", ("Falta um elemento obrigatório.", "A required element is missing.")),
    "Enum": ("code-invalid", ("O código não é um dos permitidos aqui.", "The code is not one of those allowed here.")),
    "Constant": ("value", ("O valor não é o exigido aqui.", "The value is not the one required here.")),
    "Pattern": (
        "value",
        ("O valor não tem a forma que o tipo exige.", "The value does not have the form that its type requires."),
    ),
    "Type": ("structure", ("O valor tem o tipo JSON errado.", "The value has the wrong JSON type.")),
}


def validate(resource: Any) -> None:
    """Check a resource, its contained resources, and the entries of a Bundle.

    Raises:
        ProntuarioError: ``fhir.invalid`` (422) with ``details["issues"]``; ``fhir.type_unknown`` (404).
    """
    if not isinstance(resource, dict) or not isinstance(resource.get("resourceType"), str):
        raise single(
            "Resource.resourceType",
            "required",
            ("O corpo deve ser um objeto com resourceType.", "The body must be an object with a resourceType."),
        )
    resource_type = resource["resourceType"]
    tables.require_served(resource_type)
    if too_deep(resource):
        raise single(
            resource_type,
            "too-long",
            (
                f"O recurso tem mais de {MAX_DEPTH} níveis.",
                f"The resource is nested deeper than {MAX_DEPTH} levels.",
            ),
        )
    issues = list(islice(_issues(resource, resource_type, ()), MAX_ISSUES))
    if issues:
        raise invalid(issues)


def too_deep(value: Any) -> bool:
    """Whether ``value`` is nested deeper than MAX_DEPTH; itself without recursion."""
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [
            child
            for item in level
            for child in (item.values() if isinstance(item, dict) else item)
            if isinstance(child, dict | list)
        ]
        if not level:
            return False
    return True


def _issues(resource: dict[str, Any], root: str, location: Location) -> Iterator[Issue]:
    resource_type = resource["resourceType"]
    if resource_type not in tables.search_parameters():
        yield Issue(
            path_of(root, location),
            "not-supported",
            ("Este tipo de recurso não é atendido aqui.", "This resource type is not served here."),
        )
        return
    validator = _validator(resource_type)
    if validator.is_valid(resource):
        yield from structural_issues(resource, root, location)
    else:
        for error in validator.iter_errors(resource):
            yield _schema_issue(error, root, location)
    yield from _inner_issues(resource, root, location)


def _inner_issues(resource: dict[str, Any], root: str, location: Location) -> Iterator[Issue]:
    contained = resource.get("contained")
    for index, inner in enumerate(contained if isinstance(contained, list) else []):
        if _is_resource(inner):
            yield from _issues(inner, root, (*location, "contained", index))
            if "contained" in inner:
                yield Issue(
                    path_of(root, (*location, "contained", index)),
                    "structure",
                    ("Recursos contidos não se aninham.", "Contained resources do not nest."),
                )
    entries = resource.get("entry") if resource["resourceType"] == "Bundle" else None
    for index, entry in enumerate(entries if isinstance(entries, list) else []):
        inner = entry.get("resource") if isinstance(entry, dict) else None
        if isinstance(inner, dict) and _is_resource(inner):
            yield from _issues(inner, root, (*location, "entry", index, "resource"))


def _is_resource(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(value.get("resourceType"), str)


@cache
def _validator(resource_type: str) -> jsonschema_rs.Draft6Validator:
    schema = {"$ref": f"#/definitions/{resource_type}", "definitions": tables.schema()["definitions"]}
    return jsonschema_rs.Draft6Validator(schema)


def _schema_issue(error: jsonschema_rs.ValidationError, root: str, location: Location) -> Issue:
    code, text = _SENTENCES.get(
        type(error.kind).__name__, ("invalid", ("O valor não é permitido aqui.", "The value is not allowed here."))
    )
    return Issue(path_of(root, (*location, *error.instance_path)), code, text)
