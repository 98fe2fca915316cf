from __future__ import annotations

from functools import partial

import pytest

from appliance.care import notes
from appliance.care.templates import shelf
from appliance.care.templates.shelf import Template
from appliance.plugin_api.errors import ProntuarioError
from tests.fakes import sounds
from tests.unit.care.conftest import Ward

MINE = 'title = "Minha"\n[[heading]]\ntitle = "Tudo"\ntakes = ["S", "O", "A", "P"]\n'
NOW = "2026-01-02T03:04:05.000Z"


async def keep(ward: Ward, name: str, text: str | None, seen: int | None, owner: str = "ana") -> Template:
    return await ward.store.write(lambda tx: shelf.keep(tx, owner, name, text, seen=seen, now=NOW))


async def got(ward: Ward, name: str, owner: str = "ana") -> Template:
    return await ward.store.read(lambda q: shelf.get(q, owner, name))


async def test_ones_own_versions_hide_the_file_and_only_ones_own(still_ward: Ward) -> None:
    assert (await got(still_ward, "soap")).version == 0
    assert (await keep(still_ward, "soap", MINE, 0)).version == 1
    assert (await got(still_ward, "soap")).layout.title == "Minha"
    assert (await got(still_ward, "soap", "rui")).layout.title == "SOAP"
    back = await keep(still_ward, "soap", None, 1)
    assert (back.version, back.layout.title) == (2, "SOAP")
    assert (await keep(still_ward, "soap", MINE, 2)).version == 3
    every = await still_ward.store.read(lambda q: shelf.versions(q, "ana", "soap"))
    assert [(one.version, one.text is None) for one in every] == [(0, False), (1, False), (2, True), (3, False)]


async def test_a_template_of_ones_own_name(still_ward: Ward) -> None:
    await keep(still_ward, "pediatria", MINE, 0)
    names = {one.name for one in await still_ward.store.read(lambda q: shelf.everything(q, "ana"))}
    assert names == {"soap", "evolucao", "anamnese", "alta", "pediatria"}
    assert len(await still_ward.store.read(lambda q: shelf.everything(q, "rui"))) == 4
    await keep(still_ward, "pediatria", None, 1)
    with pytest.raises(ProntuarioError, match=r"template\.unknown"):
        await got(still_ward, "pediatria")


@pytest.mark.parametrize(
    ("name", "text", "seen", "code"),
    [
        ("soap", MINE, None, "template.version_required"),
        ("soap", MINE, 1, "template.version_changed"),
        ("soap", MINE, -1, "template.version_changed"),
        ("soap", "title = 3", 0, "template.invalid"),
        ("../soap", MINE, 0, "template.invalid"),
        ("Soap", MINE, 0, "template.invalid"),
        ("a" * 41, MINE, 0, "template.invalid"),
        ("soap", None, 0, "template.unknown"),
        ("nobody", None, 0, "template.unknown"),
    ],
)
async def test_refusals_keep_nothing(
    still_ward: Ward, name: str, text: str | None, seen: int | None, code: str
) -> None:
    with pytest.raises(ProntuarioError) as caught:
        await keep(still_ward, name, text, seen)
    assert caught.value.kind.code == code
    row = await still_ward.store.read(lambda q: q.one("SELECT count(*) FROM care_template_version"))
    assert row is not None
    assert row[0] == 0


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE care_template_version SET text = 'x'",
        "DELETE FROM care_template_version",
        "INSERT OR REPLACE INTO care_template_version VALUES ('ana', 'soap', 1, 'x', 'now')",
        "INSERT INTO care_template_version VALUES ('ana', 'soap', 3, 'x', 'now')",
    ],
)
async def test_versions_are_only_added(still_ward: Ward, sql: str) -> None:
    await keep(still_ward, "soap", MINE, 0)
    with pytest.raises(Exception, match="template version"):
        await still_ward.store.write(lambda tx: tx.execute(sql))


async def test_nobody_fills_the_shelf(still_ward: Ward) -> None:
    def fill(tx: object) -> None:
        for number in range(shelf.MAX_OWN):
            shelf.keep(tx, "ana", f"t{number}", MINE, seen=0, now=NOW)  # type: ignore[arg-type]

    await still_ward.store.write(fill)
    with pytest.raises(ProntuarioError, match=r"template\.invalid"):
        await keep(still_ward, "one-more", MINE, 0)
    assert (await keep(still_ward, "t0", MINE, 1)).version == 2


async def test_a_dictation_knows_its_template_and_takes_no_unknown_one(ward: Ward) -> None:
    await keep(ward, "minha", MINE, 0, ward.doctor.user_id)
    dictation = await ward.store.write(
        lambda tx: ward.consults.open(
            tx, ward.doctor, patient_id=ward.patient, encounter_id=ward.encounter, language="pt", template="minha"
        )
    )
    assert dictation.template == "minha"
    with pytest.raises(ProntuarioError, match=r"template\.unknown"):
        await ward.store.write(
            lambda tx: ward.consults.open(
                tx, ward.doctor, patient_id=ward.patient, encounter_id=ward.encounter, language="pt", template="none"
            )
        )


async def test_the_record_carries_the_headings_and_the_signature_the_template(ward: Ward) -> None:
    note = await ward.drafted()
    assert note.content.layout is not None
    assert (note.content.layout.name, note.content.layout.version) == ("soap", 0)
    before = await ward.resource("Composition", note.composition_id)
    assert [part["title"] for part in before["section"]] == ["Subjetivo", "Objetivo", "Plano"]
    assert before["section"][0]["code"]["coding"][0]["display"] == "Subjective narrative"
    layout = (await got(ward, "evolucao")).layout
    fresh = await ward.store.write(
        lambda tx: notes.arrange(tx, note.id, layout, seen="1", editor=ward.doctor.user_id, now=NOW)
    )
    after = await ward.resource("Composition", note.composition_id)
    assert [part["title"] for part in after["section"]] == ["Intercorrências e queixas", "Exame físico", "Conduta"]
    assert fresh.content.sections == note.content.sections
    signed = await ward.sign(await ward.review(fresh))
    assert signed.signature is not None
    assert signed.signature["form"]["template"] == {"name": "evolucao", "version": 0, "sha256": layout.sha256}
    with pytest.raises(ProntuarioError, match=r"note\.signed"):
        await ward.store.write(
            lambda tx: notes.arrange(tx, note.id, layout, seen="2", editor=ward.doctor.user_id, now=NOW)
        )


async def test_a_template_that_was_taken_back_meanwhile_gives_way_to_soap(ward: Ward) -> None:
    owner = ward.doctor.user_id
    await keep(ward, "minha", MINE, 0, owner)
    dictation = await ward.store.write(
        lambda tx: ward.consults.open(
            tx, ward.doctor, patient_id=ward.patient, encounter_id=ward.encounter, language="pt", template="minha"
        )
    )
    await keep(ward, "minha", None, 1, owner)
    await ward.send(dictation.id, 0, sounds.wav(1.0))
    await ward.complete(dictation.id, 1)
    done = await ward.until(dictation.id, "drafted")
    note = await ward.note(str(done.note_id))
    assert note.content.layout is not None
    assert note.content.layout.name == "soap"


OURS = MINE.replace("Minha", "Do hospital")


async def test_the_hospitals_counts_for_everybody_who_has_none_of_their_own(still_ward: Ward) -> None:
    kept = await keep(still_ward, "soap", OURS, 0, shelf.HOSPITAL)
    assert (kept.version, kept.source) == (1, "hospital")
    seen = await got(still_ward, "soap", "rui")
    assert (seen.version, seen.source, seen.layout.title) == (0, "hospital", "Do hospital")
    mine = await keep(still_ward, "soap", MINE, 0)
    assert (mine.version, mine.source, mine.layout.title) == (1, "own", "Minha")
    back = await keep(still_ward, "soap", None, 1)
    assert (back.version, back.source, back.layout.title) == (2, "hospital", "Do hospital")
    restored = await keep(still_ward, "soap", None, 1, shelf.HOSPITAL)
    assert (restored.version, restored.source, restored.layout.title) == (2, "product", "SOAP")
    assert (await got(still_ward, "soap", "rui")).source == "product"
    for owner, seen_version in (("ana", 2), (shelf.HOSPITAL, 2), ("rui", 0)):
        with pytest.raises(ProntuarioError, match=r"template\.unknown"):  # there is nothing left to take back
            await keep(still_ward, "soap", None, seen_version, owner)


async def test_a_template_that_only_the_hospital_has_is_everybodys(still_ward: Ward) -> None:
    await keep(still_ward, "pediatria", OURS, 0, shelf.HOSPITAL)
    for owner in ("ana", "rui", shelf.HOSPITAL):
        listed = await still_ward.store.read(partial(shelf.everything, owner=owner))
        assert [one.source for one in listed if one.name == "pediatria"] == ["hospital"]
    below = await still_ward.store.read(lambda q: shelf.versions(q, "ana", "pediatria"))
    assert [(one.version, one.source, one.text) for one in below] == [(0, "hospital", OURS)]
    await keep(still_ward, "pediatria", None, 1, shelf.HOSPITAL)
    with pytest.raises(ProntuarioError, match=r"template\.unknown"):
        await got(still_ward, "pediatria")


async def test_a_draft_stands_under_the_hospitals_headings(ward: Ward) -> None:
    await keep(ward, "soap", OURS, 0, shelf.HOSPITAL)
    note = await ward.drafted()
    assert note.content.layout is not None
    assert (note.content.layout.title, note.content.layout.version) == ("Do hospital", 0)
