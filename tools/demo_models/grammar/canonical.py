"""How a sentence is said aloud and how the note writes it, both from its transcript form."""

from __future__ import annotations

import re
from typing import Final

_CANONICAL: Final = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"^Pressão arterial (?:de )?(\d+) por (\d+)(?: milímetros de mercúrio)?\.", r"PA \1/\2 mmHg."),
        (r"^Frequência cardíaca (?:de )?(\d+) batimentos por minuto\.", r"FC \1 bpm."),
        (r"^Frequência cardíaca (\d+) e saturação (\d+)%\.", r"FC \1 bpm, SatO2 \2%."),
        (r"^Frequência respiratória (?:de )?(\d+) incursões por minuto\.", r"FR \1 irpm."),
        (r"^Saturação de oxigênio (?:de )?(\d+)% em ar ambiente\.", r"SatO2 \1% em ar ambiente."),
        (r"^Temperatura axilar (?:de )?([\d,]+) graus\.", r"Temperatura axilar \1 °C."),
        (r"^Glicemia capilar (?:de )?(\d+)\.", r"Glicemia capilar \1 mg/dl."),
        (r"\bde (\d+) em (\d+) horas", r"\1/\2h"),
        (r"^(?:Relata|Apresenta|Queixa-se de) ", "Refere "),
        (r"^(?:Prescrevo|Inicio) ", "Iniciar "),
        (r"^Mantenho ", "Manter "),
        (r"^Aumento ", "Aumentar "),
        (r"^Reduzo ", "Reduzir "),
        (r"^Suspendo ", "Suspender "),
        (r"^(?:Solicito|Peço) ", "Solicitar "),
        (r"^Encaminho ", "Encaminhar "),
        (r"^(?:Oriento|Recomendo) ", "Orientar "),
        (r"^(?:Usa|Faz uso de|Toma) ", "Em uso de "),
        (r"^(?:Sem (?!sinais)|Não refere )", "Nega "),
        (r"^(?:Hipótese diagnóstica|Quadro compatível com|Suspeita|Impressão) (?:de )?", "Hipótese de "),
        (r"^Homem de", "Paciente masculino de"),
        (r"^Mulher de", "Paciente feminina de"),
    )
)
_FEMININE: Final = r"(?=(?: (?:vez(?:es)?|semanas?|horas?|cruz(?:es)?)\b| em \d+ horas))"
_UNITS: Final = {
    "mg": "miligramas",
    "mcg": "microgramas",
    "g": "gramas",
    "ml": "mililitros",
    "kg": "quilos",
    "UI": "unidades",
    "m": "",
}
_FEMININE_NUMBERS: Final = {"1": "uma", "2": "duas", "21": "vinte e uma", "22": "vinte e duas"}


def canonical(text: str) -> str:
    """The sentence as the note writes it: one verb for each act, vital signs with their units."""
    for pattern, replacement in _CANONICAL:
        text = pattern.sub(replacement, text)
    return text


def spoken(text: str) -> str:
    """The words that a doctor says for a written sentence: what the speech synthesiser gets."""
    for digits, words in _FEMININE_NUMBERS.items():
        text = re.sub(rf"(?<![\d,]){digits}{_FEMININE}", words, text)
    text = re.sub(r"\b1 g\b", "um grama", text)
    text = re.sub(r"(?<=\d) (mg|mcg|g|ml|kg|UI|m)\b", lambda found: " " + _UNITS[found[1]], text)
    text = text.replace("%", " por cento").replace("Lasègue", "Lasegue")
    return re.sub(r"\s+", " ", text).replace(" .", ".").replace(" ,", ",").strip()
