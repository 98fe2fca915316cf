"""The rows that both servers of bench_api serve: Patients as Synthea writes them, with thousands of different names."""

from __future__ import annotations

import gzip
import json
import random
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
SAMPLE = ROOT / "appliance" / "daemon" / "sample" / "synthea_blake.json.gz"
SYLLABLES = [
    "ma",
    "ri",
    "jo",
    "ão",
    "ana",
    "pe",
    "dro",
    "lu",
    "cas",
    "bea",
    "triz",
    "te",
    "re",
    "sa",
    "fran",
    "cis",
    "co",
    "li",
    "ví",
    "ce",
]
NOW = "2026-01-01T00:00:00.000Z"


def patients(count: int) -> list[dict[str, Any]]:
    """``count`` Patients, the same ones in every run."""
    bundle = json.loads(gzip.decompress(SAMPLE.read_bytes()))
    template = next(entry["resource"] for entry in bundle["entry"] if entry["resource"]["resourceType"] == "Patient")
    draw = random.Random(20)
    rows = []
    for number in range(count):
        name = {"use": "official", "family": _word(draw, 3), "given": [_word(draw, 2)]}
        identifier = [{"system": "urn:bench", "value": f"{number:08d}"}]
        rows.append({**template, "id": f"p{number}", "name": [name], "identifier": identifier})
    return rows


def search_terms(rows: list[dict[str, Any]], count: int) -> list[str]:
    """What a nurse types: a given name and the first letters of a family name."""
    draw = random.Random(21)
    names = [row["name"][0] for row in draw.choices(rows, k=count)]
    return [f"{name['given'][0]} {name['family'][:2]}".lower() for name in names]


def _word(draw: random.Random, syllables: int) -> str:
    return "".join(draw.choices(SYLLABLES, k=syllables)).capitalize()
