"""What the pages of models and faces say of one piece of work, one rate, one version: no browser is needed for that."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from admin_ui.pages import faces, models_work
from admin_ui.pages.models_import import last_part
from admin_ui.shapes_faces import Rate
from admin_ui.shapes_packs import Told, WorkRow
from admin_ui.words import WORDS, words


@dataclass
class Spoken:
    """As much of a view as words need."""

    language: str = "pt"

    def say(self, key: str, **values: object) -> str:
        return words(self.language)(key, **values)


def work(kind: str, state: str = "done", **more: Any) -> WorkRow:
    return WorkRow(id="1", kind=kind, what="STICK/late-2", by="ana", began="now", state=state, **more)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (work("import", pack="late-2"), "late-2 está guardado. Nada do que atende mudou; para usá-lo, ative-o abaixo."),
        (work("activate", pack="late-2", before="late-1"), "late-2 passou no teste e atende agora. Antes: late-1."),
        (work("activate", pack="late-2"), "late-2 passou no teste e atende agora. Antes: a demonstração, ou nenhum."),
        (work("rollback", pack="late-1", before="late-2"), "late-1 passou no teste e voltou a atender. Antes: late-2."),
        (work("remove", pack="late-1", done_bytes=1 << 30), "late-1 foi removido: 1 GiB livres a mais."),
        (work("verify", pack="late-1"), "late-1: cada arquivo é o que foi assinado."),
        (work("verify", "stopped"), "Parou. Nada mudou."),
        (work("polish", pack="late-1"), "polish"),  # of a newer core
    ],
)
def test_what_became_of_work_is_said(row: WorkRow, said: str) -> None:
    assert models_work.outcome(Spoken(), row) == said  # type: ignore[arg-type]


def test_a_stopped_import_says_that_it_can_be_taken_up_again() -> None:
    assert "continua daí" in models_work.outcome(Spoken(), work("import", "stopped"))  # type: ignore[arg-type]


def test_every_kind_of_work_has_its_words_in_every_state() -> None:
    for kind in ("import", "verify", "activate", "rollback", "remove"):
        assert {f"work.{kind}", f"work.done.{kind}", f"work.failed.{kind}"} <= WORDS.keys()
    for reason in faces.REASONS:
        assert f"faces.reason.{reason}" in WORDS
    for lacks in ("plugin", "model", "loading", "threshold"):
        assert f"faces.lacks.{lacks}" in WORDS


def test_a_failure_is_told_in_the_readers_language_with_its_next_step() -> None:
    told = Told(code="x", pt="Caiu.", en="It fell.", step_pt="Levante.", step_en="Lift it.")
    assert models_work.sentence(Spoken(), told) == "Caiu. Levante."  # type: ignore[arg-type]
    assert models_work.sentence(Spoken("en"), told) == "It fell. Lift it."  # type: ignore[arg-type]
    assert models_work.step(Spoken("en"), told) == "Lift it."  # type: ignore[arg-type]


def test_work_is_named_by_what_people_know_it_by() -> None:
    view: Any = Spoken()
    assert models_work.known_what(view, "work.import", work("import")) == "Importando late-2"
    back = WorkRow(id="1", kind="rollback", what="chat_model", by="ana", began="now", state="running")
    assert models_work.known_what(view, "work.rollback", back) == "Voltando ao pacote anterior: Notas e conversa"
    assert last_part("a/b c") == "b c"


@pytest.mark.parametrize(
    ("share", "pt", "en"),
    [
        (0.0, "0%", "0%"),
        (1.0, "100%", "100%"),
        (0.95, "95%", "95%"),
        (0.001, "0,1%", "0.1%"),
        (18 / 29956, "0,06%", "0.06%"),
        (1.234e-6, "0,00012%", "0.00012%"),
        (0.0198, "2%", "2%"),
    ],
)
def test_shares_are_read_in_parts_of_a_hundred(share: float, pt: str, en: str) -> None:
    assert (faces.percent(share, "pt"), faces.percent(share, "en")) == (pt, en)


def test_a_rate_names_its_pairs_interval_and_threshold() -> None:
    said = faces.rate(Spoken(), Rate(18, 29956, 18 / 29956, 3.6e-4, 9.5e-4), 0.912)  # type: ignore[arg-type]
    assert said == "0,06% (18 de 29.956 pares); intervalo de 95%: 0,036% a 0,095%; no limiar 0,912"


def test_a_version_is_shown_by_the_beginning_of_its_hash() -> None:
    assert faces.short_version("facenet-1@" + "ab" * 32) == "facenet-1@abababababab"
    assert faces.short_version("scripted-1") == "scripted-1"
    assert faces.short_version("") == ""
