"""What can go wrong with operating the node, as errors that a person can act on."""

from __future__ import annotations

from appliance.plugin_api.errors import define

HAPROXY_SETTING = define(
    "haproxy.setting",
    422,
    pt=("A configuração do HAProxy não pode ser escrita: {settings}.", "Corrija estes valores."),
    en=("The HAProxy configuration can't be written: {settings}.", "Correct these values."),
)
