"""What can go wrong with a resource, as answers for people; no text ever quotes the resource's data."""

from __future__ import annotations

from appliance.plugin_api.errors import define

FHIR_INVALID = define(
    "fhir.invalid",
    422,
    pt=("O recurso não é FHIR R4 válido ({count} problema(s)).", "Corrija os campos listados e envie de novo."),
    en=("The resource is not valid FHIR R4 ({count} problem(s)).", "Correct the listed fields and send again."),
)
"""``details["issues"]``: list of ``{"expression": FHIRPath, "code": IssueType, "text": sentence}``."""
TYPE_UNKNOWN = define(
    "fhir.type_unknown",
    404,
    pt=("O tipo de recurso {type} não é atendido aqui.", "Consulte /fhir/R4/metadata para ver os tipos."),
    en=("The resource type {type} is not served here.", "See /fhir/R4/metadata for the types."),
)
RESOURCE_UNKNOWN = define(
    "fhir.not_found",
    404,
    pt=("Não há {type} com este identificador.", "Confira o identificador."),
    en=("There is no {type} with this id.", "Check the id."),
)
RESOURCE_DELETED = define(
    "fhir.gone",
    410,
    pt=("Este {type} foi excluído.", "As versões anteriores continuam no histórico."),
    en=("This {type} was deleted.", "Earlier versions remain in its history."),
)
VERSION_CONFLICT = define(
    "fhir.version_conflict",
    412,
    pt=("Alguém mudou este {type} antes.", "Leia a versão atual e repita a mudança."),
    en=("Somebody changed this {type} before you.", "Read the current version and repeat the change."),
)
ALREADY_EXISTS = define(
    "fhir.exists",
    409,
    pt=("Já existe um {type} com este identificador.", "Atualize o existente, ou crie sem identificador."),
    en=("There already is a {type} with this id.", "Update the existing one, or create without an id."),
)
MULTIPLE_MATCHES = define(
    "fhir.multiple_matches",
    412,
    pt=("Mais de um {type} corresponde à condição.", "Use uma condição mais precisa."),
    en=("More than one {type} matches the condition.", "Use a more precise condition."),
)
IMMUTABLE = define(
    "record.immutable",
    409,
    pt=("Este {type} foi assinado e não muda mais.", "Registre uma emenda."),
    en=("This {type} was signed and cannot change.", "Write an amendment."),
)
STILL_REFERENCED = define(
    "fhir.referenced",
    409,
    pt=("Há registros deste paciente.", "Um paciente com registros não pode ser excluído; marque active=false."),
    en=("There are records of this patient.", "A patient with records cannot be deleted; set active=false."),
)
NOT_SUPPORTED = define(
    "fhir.not_supported",
    400,
    pt=("{what} não é atendido aqui.", "Refaça o pedido sem isso."),
    en=("{what} is not supported here.", "Repeat the request without it."),
)
PARAMETER_UNKNOWN = define(
    "fhir.parameter_unknown",
    400,
    pt=("{type} não tem o parâmetro de busca {name}.", "Quis dizer {nearest}?"),
    en=("{type} has no search parameter {name}.", "Did you mean {nearest}?"),
)
PARAMETER_INVALID = define(
    "fhir.parameter_invalid",
    400,
    pt=("O valor do parâmetro {name} não é válido: {reason}.", "Corrija o valor e busque de novo."),
    en=("The value of the parameter {name} is not valid: {reason}.", "Correct the value and search again."),
)
