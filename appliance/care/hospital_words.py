"""The hospital's own words for the recogniser: drugs, wards, devices and names that no model was trained on.

They are no patient's data, lie in the record (so they follow to the other node and outlive updates), and are part of every
dictation's hint. Plain functions on a transaction; versions are never changed or deleted.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from appliance.plugin_api.errors import define
from appliance.plugin_api.storage import Query, Transaction
from appliance.plugin_api.vocabulary import LONGEST_TERM, MOST_TERMS, parse_vocabulary

CHANGED = define(
    "vocabulary.version_changed",
    412,
    pt=("As palavras mudaram: a versão atual é a {version}.", "Leia a versão atual e repita a mudança."),
    en=("The words have changed: the current version is {version}.", "Read the current version and repeat the change."),
)
WORD = define(
    "vocabulary.invalid",
    422,
    pt=("A palavra {word} não pode ser usada: {reason_pt}.", "Corrija a lista e envie de novo; nada foi guardado."),
    en=("Word {word} cannot be used: {reason}.", "Correct the list and send it again; nothing was kept."),
)


class HospitalWords(msgspec.Struct, frozen=True):
    """The words, the most important first. ``version`` 0: nobody ever kept any."""

    words: tuple[str, ...] = ()
    version: int = 0
    kept_by: str | None = None
    kept_at: str | None = None


def current(q: Query) -> HospitalWords:
    """What counts now."""
    row = q.one("SELECT words, version, kept_by, kept_at FROM care_hospital_words ORDER BY version DESC LIMIT 1")
    if row is None:
        return HospitalWords()
    words = msgspec.json.decode(str(row[0]), type=tuple[str, ...])
    return HospitalWords(words, int(str(row[1])), str(row[2]), str(row[3]))


def keep(tx: Transaction, words: Sequence[str], *, seen: int | None, who: str, now: str) -> HospitalWords:
    """Keep these words as the next version. ``seen``: the version that the person had before them.

    Raises:
        ProntuarioError: ``vocabulary.invalid`` 422 with the word's number, ``vocabulary.version_changed`` 412.
    """
    version = current(tx).version
    if seen != version:
        raise CHANGED(field="If-Match", version=version)
    kept = parse_vocabulary(_checked(words))
    row = (version + 1, msgspec.json.encode(kept).decode(), who, now)
    tx.execute("INSERT INTO care_hospital_words (version, words, kept_by, kept_at) VALUES (?, ?, ?, ?)", row)
    return current(tx)


def _checked(words: Sequence[str]) -> str:
    """The words as lines of a vocabulary file, once each of them can be one."""
    if len(words) > MOST_TERMS:
        raise WORD(field="words", word=len(words), reason_pt=f"cabem {MOST_TERMS}", reason=f"{MOST_TERMS} are the most")
    lines = []
    for number, word in enumerate(words, 1):
        line = word.strip()
        if len(line) > LONGEST_TERM:
            pt, en = f"mais de {LONGEST_TERM} letras", f"more than {LONGEST_TERM} characters"
        elif not line or line.startswith("#") or not line.isprintable():
            pt, en = "não é uma palavra", "it is no word"
        else:
            lines.append(line)
            continue
        raise WORD(field=f"words[{number - 1}]", word=number, reason_pt=pt, reason=en)
    return "\n".join(lines)
