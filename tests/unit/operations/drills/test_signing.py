"""A report says who signed it, and whether one byte of it has changed: every byte, wherever it stands."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import msgspec
import pypdfium2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from appliance.daemon.drills import NodeSeal
from appliance.operations.drills import pdf as pages
from appliance.operations.drills.model import Attachment, Facts, Step
from appliance.operations.drills.signing import MARK, SignedReport, encode, sealed, sign, unsealed, verify
from appliance.plugin_api.errors import ProntuarioError
from appliance.security.certificates import DOCUMENT_SIGNING
from tests.fakes.hand_clock import HandClock
from tests.unit.operations.drills.conftest import facts, seal_in

NOW = "2026-03-02T12:00:01.000Z"


def report(seal: NodeSeal, told: Facts | None = None) -> tuple[bytes, SignedReport]:
    told = told or facts()
    pdf = pages.draw(told, seal.key_id, hashlib.sha256(seal.authority()).hexdigest())
    return pdf, sign(told, pdf, seal, HandClock().now(), NOW)


@pytest.fixture(scope="module")
def file(seal: NodeSeal) -> bytes:
    pdf, signed = report(seal)
    return sealed(pdf, signed)


def refused(content: bytes, authority: bytes | None = None) -> bool:
    try:
        return not verify(content, authority).ok
    except ProntuarioError as error:
        return error.kind.code == "drill.not_a_report"


def test_a_report_says_who_signed_it(seal: NodeSeal, file: bytes) -> None:
    verdict = verify(file, seal.authority())
    assert (verdict.ok, verdict.trusted, verdict.problems) == (True, True, ())
    assert (verdict.signer, verdict.key_id, verdict.signed_at) == ("mac-a", seal.key_id, NOW)
    assert verdict.facts == facts()
    assert verify(file).trusted is None, "nobody was named to compare with"


def test_the_pdf_is_one_that_others_can_read_and_shows_the_facts(file: bytes) -> None:
    document = pypdfium2.PdfDocument(file)
    try:
        page = document[0]
        text_page = page.get_textpage()
        text = text_page.get_text_bounded()
        text_page.close()
        page.close()
    finally:
        document.close()
    for told in (
        "troca semanal de nó",
        "Hospital São Lucas",
        "APROVADO",
        "0,42 s",
        "0 de 31 conferidas",
        "O outro nó assume",
    ):
        assert told in text, text


def test_equal_facts_draw_equal_pages(seal: NodeSeal) -> None:
    assert report(seal)[0] == report(seal)[0]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(place=st.integers(min_value=0), bit=st.integers(0, 7))
def test_one_flipped_bit_anywhere_is_noticed(file: bytes, place: int, bit: int) -> None:
    content = bytearray(file)
    content[place % len(content)] ^= 1 << bit
    assert refused(bytes(content))


def test_a_flipped_bit_in_the_lines_that_hold_file_and_proof_together_is_noticed(file: bytes) -> None:
    begin = file.index(MARK)
    end = file.index(b"\n", begin)
    places = [*range(begin, begin + len(MARK)), *range(end - 4, end + 6), *range(len(file) - 24, len(file))]
    for place in places:
        content = bytearray(file)
        content[place] ^= 1
        assert refused(bytes(content)), place


@pytest.mark.parametrize(
    "change", [lambda file: file + b"\n", lambda file: file[:-1], lambda file: file[5:], lambda _: b""]
)
def test_more_or_fewer_bytes_are_noticed(file: bytes, change: object) -> None:
    assert callable(change)
    assert refused(change(file))


def test_the_facts_alone_prove_themselves_too(seal: NodeSeal) -> None:
    _, signed = report(seal)
    told = encode(signed)
    assert verify(told, seal.authority()).ok
    assert refused(told.replace(b'"passed"', b'"failed"'))
    assert refused(told + b"\n")
    assert refused(msgspec.json.format(told, indent=2)), "another spelling of the same facts is another file"
    assert refused(told.replace(b'"rpo_writes":0', b'"rpo_writes":1'))


def test_the_pages_of_one_report_do_not_go_with_the_proof_of_another(seal: NodeSeal) -> None:
    pdf, _ = report(seal)
    _, other = report(seal, facts(outcome="failed"))
    verdict = verify(sealed(pdf, other), seal.authority())
    assert verdict.problems == ("the pages were changed after they were signed",)


def test_another_authority_is_told(seal: NodeSeal, file: bytes, tmp_path: Path) -> None:
    stranger = seal_in(tmp_path / "stranger", "mac-a")
    verdict = verify(file, stranger.authority())
    assert (verdict.ok, verdict.trusted) == (False, False)
    pdf, signed = report(stranger)
    forged = sealed(pdf, msgspec.structs.replace(signed, authority=seal.authority().decode()))
    assert "the signature does not fit" in verify(forged, seal.authority()).problems


def test_a_key_that_the_certificate_does_not_name_proves_nothing(seal: NodeSeal, tmp_path: Path) -> None:
    stranger = seal_in(tmp_path / "stranger")
    pdf, signed = report(seal)
    borrowed = msgspec.structs.replace(signed, key_id=stranger.key_id)
    assert set(verify(sealed(pdf, borrowed)).problems) == {
        "the signature does not fit",
        "the certificate is of another key",
    }


def test_a_certificate_speaks_for_its_day_and_its_use_only(seal: NodeSeal) -> None:
    told = facts()
    pdf = pages.draw(told, seal.key_id, "0")
    late = sign(told, pdf, seal, HandClock().now(), "2026-03-09T12:00:00.000Z")
    assert verify(sealed(pdf, late)).problems == ("the certificate was not valid when the report was signed",)
    _, signed = report(seal)
    device = signed.certificate.encode()
    assert DOCUMENT_SIGNING.dotted_string == "1.3.6.1.5.5.7.3.36"
    assert b"BEGIN CERTIFICATE" in device


def test_another_file_is_no_report(tmp_path: Path) -> None:
    (tmp_path / "letter.pdf").write_bytes(b"%PDF-1.4\nhello\nstartxref\n9\n%%EOF\n")
    assert refused((tmp_path / "letter.pdf").read_bytes())
    assert refused(b'{"facts": {}}')
    assert refused(b"\xff\xfe\x00")


def test_sealing_is_undone_exactly(seal: NodeSeal) -> None:
    pdf, signed = report(seal)
    whole = sealed(pdf, signed)
    assert unsealed(whole) == (pdf, encode(signed))
    assert len(re.findall(rb"%%EOF", whole)) == 1
    with pytest.raises(ValueError, match="no end"):
        sealed(b"%PDF-1.4", signed)


def test_a_long_report_has_pages_figures_attachments_and_reasons(seal: NodeSeal) -> None:
    steps = tuple(
        Step(
            name=f"s{n}", pt=f"Passo <{n}> & mais", en="x", outcome="not_configured" if n % 2 else "failed", seconds=12.5,
            figures={"linhas": 1234, "nome": "a"}, why_pt="Não configurado: <nada>", why_en="y",
        )
        for n in range(60)
    )  # fmt: skip
    told = facts(
        steps=steps, outcome="failed", rto_s=None, rpo_writes=None, attachments=(Attachment("a.json", 12, "ab" * 32),)
    )
    pdf, signed = report(seal, told)
    assert verify(sealed(pdf, signed)).ok
    document = pypdfium2.PdfDocument(pdf)
    try:
        assert len(document) > 2
    finally:
        document.close()


def test_certificates_that_are_none_are_no_proof(seal: NodeSeal) -> None:
    pdf, signed = report(seal)
    for rubbish in ("", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "x"):
        for part in ("authority", "certificate"):
            verdict = verify(sealed(pdf, msgspec.structs.replace(signed, **{part: rubbish})), seal.authority())
            assert "the signature does not fit" in verdict.problems
