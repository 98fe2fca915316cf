"""How power stands, as people are told."""

from __future__ import annotations

from appliance.operations.power.decide import State
from appliance.operations.power.reading import Reading, Supply
from appliance.plugin_api.hooks import Health

_PAGE_EN = "docs/runbooks/power-failed.md says what happens next"
_PAGE_PT = "docs/runbooks/power-failed.md diz o que vem a seguir"


def health_of(configured: bool, state: State, reading: Reading | None, why: str) -> Health:
    """For the registry. ``why``: the clause of the last ``SilentError``; empty before the first look."""
    if not configured:
        return Health("not_configured", "no UPS is configured", message_pt="nenhum nobreak configurado")
    if reading is None and not why:
        return Health("ok", "the UPS is being asked", message_pt="perguntando ao nobreak")
    if reading is None:
        return Health(
            "degraded",
            f"the UPS is not heard: {why}",
            "check the UPS server and [power] in prontuario.toml",
            message_pt="o nobreak não responde; nada será feito se faltar energia",
            advice_pt="verifique o servidor do nobreak e [power] em prontuario.toml",
        )
    left_en, left_pt = _left(reading)
    if state.supply is Supply.MAINS:
        if reading.worn:
            return Health(
                "degraded",
                "the UPS asks for a new battery",
                "have the battery replaced",
                message_pt="o nobreak pede bateria nova",
                advice_pt="mande trocar a bateria",
            )
        return Health("ok", f"on mains{left_en}", message_pt=f"na rede elétrica{left_pt}")
    en, pt = "on battery", "na bateria"
    if state.supply is Supply.LOW:
        en, pt = "the battery ends; this node switches itself off", "a bateria acaba; este nó se desliga sozinho"
    return Health("degraded", en + left_en, _PAGE_EN, message_pt=pt + left_pt, advice_pt=_PAGE_PT)


def _left(reading: Reading) -> tuple[str, str]:
    parts = [f"{reading.charge_percent:.0f} %"] if reading.charge_percent is not None else []
    if reading.runtime_s is not None:
        parts.append(f"{reading.runtime_s / 60:.0f} min")
    told = f" ({', '.join(parts)})" if parts else ""
    return told, told
