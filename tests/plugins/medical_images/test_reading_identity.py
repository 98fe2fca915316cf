"""A picture of somebody else is refused; what differs only in spelling is not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset

from appliance.plugin_api.images import PatientClaim
from plugins.medical_images.reading.identity import Named, check, named_in
from plugins.medical_images.reading.limits import Limits
from plugins.medical_images.reading.refusals import RefusedError
from plugins.medical_images.reading.source import open_source
from tests.plugins.medical_images.picture_files import dicom, ramp

ANA = PatientClaim(("P-0042", "12345678909"), ("Ana Lúcia de Souza Prado",), "1980-05-02")


def named(identifier: str = "", name: str = "", birth: str = "") -> Named:
    return Named((identifier,) if identifier else (), name, birth)


@pytest.mark.parametrize(
    "header",
    [
        named("P-0042", "Souza Prado^Ana Lucia", "19800502"),
        named("p0042"),
        named("12345678909", "Prado^Ana"),
        named("", "PRADO^ANA LUCIA DE SOUZA", "19800502"),
        named("", "Prado^A L S"),
        named("OUTRO-9", "Souza Prado^Ana Lúcia", "19800502"),
        named("P-0042", "Casada^Nova", "19800502"),
    ],
)
def test_the_same_person(header: Named) -> None:
    assert check(header, ANA) == "match"


@pytest.mark.parametrize(
    ("header", "field"),
    [
        (named("P-0042", "Souza Prado^Ana Lucia", "19800503"), "PatientBirthDate"),
        (named("P-0043"), "PatientID"),
        (named("P-0043", "Souza Prado^Ana Lucia"), "PatientID"),
        (named("P-0043", "Costa^Beatriz", "19800502"), "PatientID"),
        (named("", "Costa^Beatriz"), "PatientName"),
        (named("", "Ana"), "PatientName"),
        (named("", "Prado^Bruno"), "PatientName"),
        (named("P-0042", "Costa^Beatriz"), "PatientName"),
        (named("", "A^L"), "PatientName"),
    ],
)
def test_somebody_else(header: Named, field: str) -> None:
    with pytest.raises(RefusedError) as caught:
        check(header, ANA)
    assert (caught.value.code, caught.value.details) == ("image.wrong_patient", {"what": field})


@pytest.mark.parametrize(
    "header", [named(), named("", "Anonymous"), named("0000"), named("", "", "19800502"), named("", "?")]
)
def test_nobody(header: Named) -> None:
    assert check(header, ANA) == "absent"


def test_without_a_claim_nothing_is_checked() -> None:
    assert check(named("P-0043"), None) == "unchecked"


def data(**fields: Any) -> Dataset:
    made = Dataset()
    for keyword, value in fields.items():
        setattr(made, keyword, value)
    return made


def test_what_a_header_names() -> None:
    other = data(PatientID="B2")
    found = named_in(
        data(PatientID="A1", OtherPatientIDsSequence=[other], PatientName="Prado^Ana=意", PatientBirthDate="19800502")
    )
    assert found == Named(("A1", "B2"), "Prado^Ana", "19800502")


def test_a_header_that_was_made_anonymous_names_nobody() -> None:
    assert named_in(data(PatientID="A1", PatientName="X^Y", PatientIdentityRemoved="YES")) == Named()


def test_the_file_is_refused_before_its_pixels_are_touched(tmp_path: Path) -> None:
    path = dicom(tmp_path / "a.dcm", ramp(64, 64), PatientID="P-0043")
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(RefusedError, match=r"image\.wrong_patient"):
        open_source(path, Limits()).facts(ANA)


def test_what_matched_is_told(tmp_path: Path) -> None:
    path = dicom(tmp_path / "a.dcm", ramp(4, 4), PatientID="P-0042", WindowCenter=1, WindowWidth=2)
    assert open_source(path, Limits()).facts(ANA).identity == "match"
    nobody = dicom(tmp_path / "b.dcm", ramp(4, 4), WindowCenter=1, WindowWidth=2)
    facts = open_source(nobody, Limits()).facts(ANA)
    assert (facts.identity, facts.cautions) == ("absent", ("identity_absent",))
