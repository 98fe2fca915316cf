"""What the layers above may be told, and why a plugin is set aside."""

from __future__ import annotations

from appliance.plugin_api.errors import define

CAPABILITY_UNAVAILABLE = define(
    "capability.unavailable",
    503,
    pt=("Nenhum serviço de {capability} está disponível agora.", "Nada se perdeu. Tente de novo em instantes."),
    en=("No {capability} service is available right now.", "Nothing was lost. Try again in a moment."),
)
PLUGIN_UNAVAILABLE = define(
    "plugin.unavailable",
    503,
    pt=("A extensão {plugin} foi isolada porque falhou.", "O resto continua. Avise a TI."),
    en=("The {plugin} plugin was set aside because it failed.", "Everything else goes on. Tell IT."),
)


class QuarantineError(Exception):
    """A plugin can't be used; the text is the reason that people see. It stops nobody else."""
