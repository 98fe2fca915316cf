"""How each alternative of ``patterns.PATTERN`` is said: one small function each, in the pattern's order."""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Callable
from typing import Final

from plugins.speech_out.reading.numerals import LAST_ORDINAL, cardinal, ordinal
from plugins.speech_out.reading.quantities import agrees_feminine, chain, number, quantity, registry
from plugins.speech_out.reading.units import DENOMINATORS, HALVABLE, UNITS, said
from plugins.speech_out.reading.words import EXPANSIONS, MONTHS, ROMANS, SYMBOLS, TIMES_PER

Match = re.Match[str]
_LEAP_YEAR: Final = 2000
_FEVER: Final = range(34, 44)
"""``38º`` without a noun is a temperature, not the thirty-eighth."""
_RUNS: Final = re.compile(r"\d+|\D+")
_LITTLE: Final = {"c": "com ", "s": "sem ", "p": "para "}


def _day_of(day: str, month: str, year: str | None = None) -> str | None:
    """``("1", "3", "2026")`` → ``"primeiro de março de dois mil e vinte e seis"``; None for a day that no calendar has."""
    in_full = int(year) if year and len(year) > 2 else _LEAP_YEAR  # noqa: PLR2004  a short year tells no leap year
    if not 1 <= int(month) <= len(MONTHS) or in_full == 0 or not 1 <= int(day) <= monthrange(in_full, int(month))[1]:
        return None
    words = f"{'primeiro' if int(day) == 1 else cardinal(int(day))} de {MONTHS[int(month) - 1]}"
    return f"{words} de {cardinal(int(year))}" if year else words


def _iso_date(found: Match) -> str:
    return _day_of(found["id"], found["im"], found["iy"]) or chain(found[0])


def _date(found: Match) -> str:
    return _day_of(found["dd"], found["dm"] or found["dm2"], found["dy"] or found["dy2"]) or chain(found[0])


def _day(found: Match) -> str:
    words = _day_of(found["yd"], found["ym"]) or f"{number(found['yd'])} barra {number(found['ym'])}"
    return found["dayword"] + words


def _interval(found: Match) -> str:
    unit = {"hora": "h", "horas": "h", "dia": "d", "dias": "d"}.get(found["everyunit"], found["everyunit"])
    every = number(found["every"], feminine=UNITS[unit].feminine)
    return f"de {every} em {quantity(found['every'], unit)}"


def _times(count: str) -> str:
    return f"{number(count, feminine=True)} {'vez' if int(count) == 1 else 'vezes'}"


def _times_per(found: Match) -> str:
    return f"{_times(found['tn'])} {TIMES_PER[found['tper']]}"


def _clock(found: Match) -> str:
    words = quantity(found["ch"] or found["ch2"], "h")
    minutes = found["cm"] or found["cm2"]
    if int(minutes) or found["cs"]:
        words += f" e {quantity(minutes, 'min')}"
    return f"{words} e {quantity(found['cs'], 's')}" if found["cs"] else words


def _ratio(found: Match) -> str:
    return f"{number(found['ta'])} para {number(found['tb'])}"


def _crosses(found: Match) -> str:
    count = found["crossn"] or str(len(found["plus"]))
    return f"{number(count, feminine=True)} {'cruz' if count == '1' else 'cruzes'} em {number(found['of'])}"


def _half(found: Match) -> str:
    whole, part, unit = found["wn"], found["part"], found["hu"]
    noun = (UNITS[unit.split("/")[0]].singular if unit else found["halved"]).lower()
    before = f"{number(whole)}, e " if whole else ""
    if noun.removesuffix("s") not in HALVABLE:
        return f"{before}um barra {number(part)}" + (f" {said(unit, one=True)}" if unit else "")
    feminine = agrees_feminine(unit, found["halved"])
    after = f" {said(unit, one=whole is None or whole == '1')}" if unit else ""
    if part == "4":
        return f"{before}um quarto de{after}"
    half = "meia" if feminine else "meio"
    return (f"{number(whole, feminine=feminine)} e {half}" if whole else half) + after


def _product(found: Match) -> str:
    sides = [found[name] for name in ("pa", "pb", "pc") if found[name]]
    *before, last = sides
    return _by(*(number(side) for side in before), quantity(last, found["pu"]))


def _by(first: str, *rest: str) -> str:
    """``180x110`` with a pause: "por cento e dez" would be heard as per cent."""
    return first + "".join(f" por, {side}" if side.startswith("cento ") else f" por {side}" for side in rest)


def _pressure(found: Match) -> str:
    word = re.sub(r"\bPA[MSDI]?\b", lambda name: EXPANSIONS.get(name[0], name[0]), found["pword"])
    return word + _by(number(found["ra"]), quantity(found["rb"], found["ru"]))


def _over(found: Match) -> str:
    return _by(number(found["oa"]), quantity(found["ob"], found["ou"]))


def _range(found: Match) -> str:
    feminine = agrees_feminine(found["gu"], found["gnoun"])
    joint = found["gword"] or "a"
    return f"{number(found['ga'], feminine=feminine)} {joint} {quantity(found['gb'], found['gu'], found['gnoun'])}"


def _fraction(found: Match) -> str:
    return f"{number(found['fa'])} barra {quantity(found['fb'], found['fu'])}"


def _ordinal(found: Match) -> str:
    value = int(found["on"])
    if value == 0 or value > LAST_ORDINAL or (found["osign"] != "ª" and value in _FEVER):
        return f"{cardinal(value)} graus"
    return ordinal(value, feminine=found["osign"] == "ª")


def _quantity(found: Match) -> str:
    words = quantity(found["n"], found["u"], found["noun"])
    if found["per"]:
        words += f" por {DENOMINATORS[found['per']]}"
    return f"menos {words}" if found["sign"] else words


def _roman(found: Match) -> str:
    return found["rword"] + cardinal(ROMANS[found["rnum"]])


def _abbreviation(found: Match) -> str:
    return EXPANSIONS.get(found[0]) or _LITTLE[found[0][0]]


def _mixed(found: Match) -> str:
    """``B12`` → ``B doze``, ``G2P1A0`` → ``G dois P um A zero``, ``J45.9`` → ``J quarenta e cinco ponto nove``."""
    name, _, after = found[0].partition(".")
    words: list[str] = []
    figure = ""
    for run in _RUNS.findall(name):
        if run.isdecimal():
            words.append(number(run))
        elif figure and run in UNITS:
            words.append(said(run, one=figure == "1"))
        else:
            words.append(EXPANSIONS.get(run, run))
        figure = run if run.isdecimal() else ""
    return " ".join(words) + (f" ponto {number(after)}" if after else "")


SAYINGS: Final[dict[str, Callable[[Match], str]]] = {
    "iso_date": _iso_date, "date": _date, "registry": lambda found: registry(found[0]),
    "day": _day, "interval": _interval, "times_per": _times_per, "clock": _clock,
    "ratio": _ratio, "crosses": _crosses, "half": _half, "product": _product, "pressure": _pressure, "over": _over,
    "range": _range, "chain": lambda found: chain(found[0]), "fraction": _fraction, "times": lambda found: _times(found["xn"]),
    "ordinal": _ordinal, "quantity": _quantity, "roman": _roman, "iv": lambda _found: "via intravenosa",
    "abbreviation": _abbreviation, "mixed": _mixed, "digits": lambda found: number(found[0]),
    "symbol": lambda found: f" {SYMBOLS[found[0]]} ",
}  # fmt: skip
"""Name of an alternative → what is said for a match of it."""
