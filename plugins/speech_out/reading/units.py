"""Units as people say them, and nouns that a number agrees with. Symbols: SI brochure (BIPM, 9th ed.), UCUM, Brazilian use."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from plugins.speech_out.reading.numerals import listed


@dataclass(frozen=True, slots=True)
class Unit:
    """What a symbol is said as; ``feminine`` makes ``2`` into ``duas``."""

    singular: str
    plural: str
    feminine: bool = False


def _regular(name: str, *, feminine: bool = False) -> Unit:
    return Unit(name, name + "s", feminine)


_MERCURY: Final = Unit("milímetro de mercúrio", "milímetros de mercúrio")
_WATER: Final = Unit("centímetro de água", "centímetros de água")
_BEATS: Final = Unit("batimento por minuto", "batimentos por minuto")
_BREATHS: Final = Unit("incursão respiratória por minuto", "incursões respiratórias por minuto", feminine=True)
_CELSIUS: Final = Unit("grau Celsius", "graus Celsius")
_PERCENT: Final = Unit("por cento", "por cento")
_HOUR: Final = _regular("hora", feminine=True)
_MINUTE: Final = _regular("minuto")
_INTERNATIONAL: Final = Unit("unidade internacional", "unidades internacionais", feminine=True)
_TABLET: Final = _regular("comprimido")
_DROP: Final = _regular("gota", feminine=True)
_MICROGRAM: Final = _regular("micrograma")
_MILLILITRE: Final = _regular("mililitro")
_LITRE: Final = _regular("litro")

UNITS: Final[dict[str, Unit]] = {
    "kg": _regular("quilograma"), "g": _regular("grama"), "mg": _regular("miligrama"),
    "mcg": _MICROGRAM, "µg": _MICROGRAM, "ug": _MICROGRAM, "ng": _regular("nanograma"), "pg": _regular("picograma"),
    "L": _LITRE, "l": _LITRE, "dL": _regular("decilitro"), "dl": _regular("decilitro"),
    "mL": _MILLILITRE, "ml": _MILLILITRE, "ML": _MILLILITRE,
    "km": _regular("quilômetro"), "m": _regular("metro"), "cm": _regular("centímetro"), "mm": _regular("milímetro"),
    "m²": Unit("metro quadrado", "metros quadrados"), "m2": Unit("metro quadrado", "metros quadrados"),
    "mm³": Unit("milímetro cúbico", "milímetros cúbicos"), "mm3": Unit("milímetro cúbico", "milímetros cúbicos"),
    "cm³": Unit("centímetro cúbico", "centímetros cúbicos"), "cm3": Unit("centímetro cúbico", "centímetros cúbicos"),
    "mmHg": _MERCURY, "mmhg": _MERCURY, "cmH2O": _WATER, "cmH₂O": _WATER,
    "bpm": _BEATS, "irpm": _BREATHS, "ipm": _BREATHS, "mrpm": _BREATHS, "rpm": _BREATHS,
    "°C": _CELSIUS, "ºC": _CELSIUS, "oC": _CELSIUS, "%": _PERCENT,
    "h": _HOUR, "hs": _HOUR, "hr": _HOUR, "hrs": _HOUR, "min": _MINUTE, "s": _regular("segundo"),
    "d": _regular("dia"),
    "UI": _INTERNATIONAL, "ui": _INTERNATIONAL, "mUI": Unit("miliunidade internacional", "miliunidades internacionais", feminine=True),
    "U": _regular("unidade", feminine=True), "mEq": Unit("miliequivalente", "miliequivalentes"),
    "mmol": Unit("milimol", "milimols"), "mOsm": Unit("miliosmol", "miliosmols"), "kcal": _regular("quilocaloria", feminine=True),
    "cp": _TABLET, "cps": _TABLET, "comp": _TABLET, "cpr": _TABLET, "gts": _DROP, "gt": _DROP,
    "amp": _regular("ampola", feminine=True), "caps": _regular("cápsula", feminine=True), "cáps": _regular("cápsula", feminine=True),
    "cx": _regular("caixa", feminine=True), "fr": _regular("frasco"),
}  # fmt: skip
"""Symbols that stand after a number. Letters keep their case: ``mg`` and ``Mg`` are not the same."""

DENOMINATORS: Final[dict[str, str]] = {symbol: unit.singular for symbol, unit in UNITS.items()} | {
    word: word for word in ("dia", "dose", "hora", "minuto", "semana", "gota", "ampola", "comprimido", "campo")
}
"""What may follow a stroke: ``mg/kg/dia`` is "miligramas por quilograma por dia"."""

FEMININE_NOUNS: Final = frozenset(
    listed(
        "gota gotas vez vezes hora horas semana semanas ampola ampolas cápsula cápsulas colher colheres dose doses "
        "unidade unidades pílula pílulas drágea drágeas noite noites consulta consultas injeção injeções aplicação "
        "aplicações inalação inalações nebulização nebulizações bolsa bolsas caixa caixas via vias infusão infusões "
        "sessão sessões cirurgia cirurgias gestação gestações crise crises evacuação evacuações micção micções cruz "
        "cruzes lesão lesões incursão incursões polegada polegadas pessoa pessoas filha filhas irmã irmãs cesárea "
        "cesáreas medida medidas aferição aferições internação internações fratura fraturas bomba bombas inspiração "
        "inspirações respiração respirações refeição refeições xícara xícaras compressa compressas sutura suturas costela "
        "costelas vértebra vértebras pastilha pastilhas seringa seringas fita fitas fatia fatias parte partes convulsão "
        "convulsões metástase metástases placa placas"
    )
)
"""Common feminine nouns of clinical text. A noun that is missing here changes an ending, never a number."""
HALVABLE: Final = frozenset(listed("comprimido ampola cápsula drágea dose colher hora dia frasco caixa xícara litro"))
"""Nouns before which ``1/2`` is ``meio`` or ``meia``."""


def said(unit: str, *, one: bool) -> str:
    """``("mg/kg/dia", one=False)`` → ``"miligramas por quilograma por dia"``."""
    first, *rest = re.sub(r"\s", "", unit).split("/")
    name = UNITS[first].singular if one else UNITS[first].plural
    return " por ".join([name, *(DENOMINATORS[part] for part in rest)])
