"""What ``make run`` shows of a picture: what was read of it, two refusals, and never a finding that no model made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from appliance.daemon.demo.consult import Consult
from appliance.daemon.demo.phone import RefusedError
from appliance.daemon.demo.picture import SAMPLE, TITLE, read_sample, take_picture

LINKS = {"frame": "/api/images/i1/frames/0", "media": "/fhir/R4/Media/m1", "analyses": "/api/images/i1/analyses"}
IMAGE = {
    "id": "i1", "patient": "p1", "size": 233_554, "media_type": "application/dicom", "modality": "CR", "body_part": "CHEST",
    "taken": "2026-11-18", "width": 512, "height": 512, "frames": 1, "identity": "match", "cautions": [], "links": LINKS,
}  # fmt: skip
WRONG = RefusedError(
    409, {"code": "image.wrong_patient", "detail": "É de outro (PatientBirthDate).", "next_step": "Confira."}
)
NO_MODEL = RefusedError(
    503, {"code": "image.not_configured", "detail": "Nenhum modelo.", "next_step": "Ative um pacote."}
)


class ScriptedPhone:
    """Keeps the picture for p1; ``answers`` may change what the others get."""

    def __init__(self, image: dict[str, Any], **answers: Any) -> None:
        self.image, self.answers = image, answers
        self.sent: list[tuple[str, Any]] = []

    async def get(self, path: str) -> Any:
        assert path == LINKS["media"]
        return {"id": "m1"}

    async def content(self, path: str, **query: str) -> bytes:
        assert (path, query) == (LINKS["frame"], {"side": "512"})
        return b"\x89PNG"

    async def hand_in(self, path: str, content: bytes, **query: str) -> Any:
        assert content == read_sample()
        self.sent.append((path, query))
        return self.image if query["patient"] == "p1" else self._answer("stranger", WRONG)

    async def post(self, path: str, body: Any = None) -> Any:
        self.sent.append((path, body))
        return self._answer("analysis", NO_MODEL)

    def _answer(self, name: str, usual: RefusedError) -> Any:
        answer = self.answers.get(name, usual)
        if isinstance(answer, Exception):
            raise answer
        return answer


async def shown(phone: ScriptedPhone, folder: Path) -> list[str]:
    stages: list[str] = []
    told = await take_picture(
        phone,  # type: ignore[arg-type]
        Consult("p1", "e1"),
        "p2",
        folder,
        lambda _stage, sentence: stages.append(sentence),
    )
    assert told is phone.image
    return stages


async def test_what_was_read_and_both_refusals_are_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    phone = ScriptedPhone(IMAGE)
    stages = await shown(phone, tmp_path)
    assert phone.sent == [
        ("/api/images", {"patient": "p1", "encounter": "e1", "title": TITLE}),
        ("/api/images", {"patient": "p2", "title": TITLE}),
        (LINKS["analyses"], {}),
    ]
    printed = capsys.readouterr().out
    for said in ("synthetic", "CR, CHEST, taken 2026-11-18", "512 x 512", "names this patient", "no warning"):
        assert said in printed
    assert "the one that the file names" in printed
    assert (tmp_path / "image-i1.png").read_bytes() == b"\x89PNG"
    assert "Media/m1" in stages[1]
    assert stages[2].endswith("409 image.wrong_patient: É de outro (PatientBirthDate). Confira.")
    assert stages[3] == "findings are not available: 503 image.not_configured: Nenhum modelo. Ative um pacote."


async def test_what_the_file_leaves_open_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cautions = [
        {"code": "burned_in_likely", "message": "confira a imagem"},
        {"code": "identity_absent", "message": "confira o paciente"},
        {"code": "window_guessed", "message": "foi estimada"},
    ]
    await shown(ScriptedPhone(IMAGE | {"identity": "absent", "cautions": cautions}), tmp_path)
    printed = capsys.readouterr().out
    for said in ("burnt in  confira a imagem\n", "window    foi estimada", "a person must check"):
        assert said in printed
    assert "no warning" not in printed


async def test_a_mistake_that_is_not_noticed_is_not_called_a_refusal(tmp_path: Path) -> None:
    stages = await shown(ScriptedPhone(IMAGE, stranger={"id": "i2"}), tmp_path)
    assert stages[2].startswith("NOT REFUSED")
    assert "i2" in stages[2]


async def test_with_a_model_the_draft_is_named_with_its_notice(tmp_path: Path) -> None:
    asked = {"id": "a1", "notice": "Não é um diagnóstico."}
    stages = await shown(ScriptedPhone(IMAGE, analysis=asked), tmp_path)
    assert f"{LINKS['analyses']}/a1" in stages[3]
    assert stages[3].endswith("Não é um diagnóstico.")


def test_the_sample_is_a_small_dicom_file() -> None:
    assert SAMPLE.endswith(".dcm")
    assert read_sample()[128:132] == b"DICM"
    assert len(read_sample()) <= 300_000
