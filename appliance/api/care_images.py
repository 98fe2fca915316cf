"""Pictures over HTTP: hand in, look at frames, have a model look, accept or reject what it says."""

from __future__ import annotations

from functools import partial
from typing import Final

from appliance.api import care_images_shapes as shapes
from appliance.api.care_shapes import bare_id
from appliance.care import imaging_rows as rows
from appliance.care.imaging import MAX_BYTES, Images, Upload
from appliance.care.imaging_model import Analysis, Asked, Image
from appliance.plugin_api.errors import INVALID, NOT_FOUND
from appliance.plugin_api.http import AnyRoute, Reply, Request, Route
from appliance.plugin_api.storage import Query, Transaction

TAG: Final = "images"
MAX_LISTED: Final = 200
UPLOAD_TIMEOUT_S: Final = 120.0
SIDE: Final = 1024
_LARGEST_SIDE: Final = 4096
_LONGEST_TITLE: Final = 200


class ImageRoutes:
    """Handlers over one node's images."""

    def __init__(self, images: Images) -> None:
        self._images = images

    def routes(self) -> list[AnyRoute]:
        """All of them."""
        base, one = "/api/images", "/api/images/{image_id}"
        analysis = one + "/analyses/{analysis_id}"
        return [
            Route("POST", base, "record.write", self.upload, "Hand in DICOM, JPEG, PNG or HEIC (raw bytes; patient, encounter, title)",
                  None, shapes.ImageView, TAG, max_body_bytes=MAX_BYTES, body_timeout_s=UPLOAD_TIMEOUT_S),
            Route("GET", base, "record.read", self.list, "A patient's images", None, shapes.ImageList, TAG),
            Route("GET", "/api/image-label-sets", "record.read", self.label_sets, "What the active image model can be asked",
                  None, shapes.LabelSetList, TAG),
            Route("GET", one, "record.read", self.read, "An image and its analyses", None, shapes.ImageView, TAG),
            Route("GET", one + "/original", "record.read", self.original, "The file as it was handed in", None, None, TAG),
            Route("GET", one + "/frames/{frame}", "record.read", self.frame, "One frame as PNG (side)", None, None, TAG),
            Route("POST", one + "/analyses", "record.write", self.ask, "Have a model look at it; not a diagnosis",
                  Asked, shapes.AnalysisView, TAG),
            Route("GET", analysis, "record.read", self.analysis, "State and findings of an analysis", None, shapes.AnalysisView, TAG),
            Route("GET", analysis + "/heat-map", "record.read", self.heat_map, "Where the evidence lies, as PNG", None, None, TAG),
            Route("POST", analysis + "/decision", "note.sign", self.decide, "Accept or reject the draft report",
                  shapes.Decide, shapes.AnalysisView, TAG),
        ]  # fmt: skip

    async def upload(self, request: Request) -> Reply:
        """``POST /api/images?patient=&encounter=&title=``; 200 instead of 201 when the patient has this file already."""
        patient_id, encounter = _patient(request), request.query.get("encounter")
        title = request.query.get("title", "").strip() or "Imagem"
        if len(title) > _LONGEST_TITLE:
            raise INVALID(field="title", name="title", reason=f"up to {_LONGEST_TITLE} characters")
        upload = Upload(patient_id, bare_id(encounter, "Encounter") if encounter else None, title)
        began = self._images.now()

        def answer(tx: Transaction, image: Image) -> Reply:
            request.about(resource=f"Media/{image.media_id}")
            view = shapes.image_view(image, rows.analyses(tx, image.id), request.language)
            status = 201 if image.uploaded_at >= began else 200
            return Reply(status, view, {"Location": f"/api/images/{image.id}"})

        return await self._images.keep(
            upload,
            request.stream_body(),
            request.principal,
            lambda name: request.commit(lambda tx: answer(tx, name(tx))),
        )

    async def list(self, request: Request) -> Reply:
        """``GET /api/images?patient=``."""
        patient_id = _patient(request)
        found = await self._images.store.read(lambda q: rows.images(q, patient_id=patient_id, limit=MAX_LISTED))
        return Reply(body=shapes.ImageList([shapes.image_view(one, [], request.language) for one in found]))

    async def label_sets(self, request: Request) -> Reply:
        """``GET /api/image-label-sets``."""
        found = [shapes.label_set_view(one, request.language) for one in self._images.label_sets()]
        return Reply(body=shapes.LabelSetList(found))

    async def read(self, request: Request) -> Reply:
        """``GET /api/images/{id}``."""
        image = await self._image(request)

        def find(q: Query) -> shapes.ImageView:
            return shapes.image_view(image, rows.analyses(q, image.id), request.language)

        return Reply(body=await self._images.store.read(find))

    async def original(self, request: Request) -> Reply:
        """``GET /api/images/{id}/original``; never opened by a browser in the appliance's own name."""
        image = await self._image(request)
        headers = {
            "Content-Length": str(image.size),
            "Content-Disposition": f'attachment; filename="imagem-{image.id}"',
        }
        return Reply(headers=headers, content_type=image.facts.media_type, stream=self._images.original(image))

    async def frame(self, request: Request) -> Reply:
        """``GET /api/images/{id}/frames/{n}?side=``."""
        image = await self._image(request)
        number = _number(request.parameters["frame"], "frame", 0, image.facts.frames)
        side = _number(request.query.get("side", str(SIDE)), "side", 1, _LARGEST_SIDE)
        png = await self._images.frame(image, number, side, request.principal)
        return Reply(body=png, content_type="image/png")

    async def ask(self, request: Request) -> Reply:
        """``POST /api/images/{id}/analyses``."""
        asked = await request.body(Asked)
        image = await self._image(request)

        def change(tx: Transaction) -> Reply:
            made = self._images.ask(tx, image.id, asked, request.principal)
            location = f"/api/images/{image.id}/analyses/{made.id}"
            return Reply(202, shapes.analysis_view(made, request.language), {"Location": location})

        return await request.commit(change)

    async def analysis(self, request: Request) -> Reply:
        """``GET /api/images/{id}/analyses/{id}``."""
        return Reply(body=shapes.analysis_view(await self._analysis(request), request.language))

    async def heat_map(self, request: Request) -> Reply:
        """``GET /api/images/{id}/analyses/{id}/heat-map``."""
        analysis = await self._analysis(request)
        if analysis.heat_blob is None:
            raise NOT_FOUND(what="heat map")
        headers = {"Content-Length": str(analysis.heat_size)}
        return Reply(headers=headers, content_type="image/png", stream=self._images.heat_map(analysis))

    async def decide(self, request: Request) -> Reply:
        """``POST /api/images/{id}/analyses/{id}/decision``."""
        asked = await request.body(shapes.Decide)
        analysis = await self._analysis(request)

        def change(tx: Transaction) -> Reply:
            decided = self._images.decide(tx, analysis, asked.decision, request.principal)
            return Reply(body=shapes.analysis_view(decided, request.language))

        return await request.commit(change)

    async def _image(self, request: Request) -> Image:
        image = await self._images.store.read(partial(rows.image, image_id=request.parameters["image_id"]))
        request.about(patient=f"Patient/{image.patient_id}", resource=f"Media/{image.media_id}")
        return image

    async def _analysis(self, request: Request) -> Analysis:
        image = await self._image(request)
        asked = request.parameters["analysis_id"]
        found = await self._images.store.read(partial(rows.analysis, analysis_id=asked, image_id=image.id))
        if found.report_id is not None:
            request.about(resource=f"DiagnosticReport/{found.report_id}")
        return found


def _patient(request: Request) -> str:
    reference = request.query.get("patient")
    if not reference:
        raise INVALID(field="patient", name="patient", reason="Patient/<id>")
    patient_id = bare_id(reference, "Patient")
    request.about(patient=f"Patient/{patient_id}")
    return patient_id


def _number(text: str, name: str, least: int, most: int) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 9 and least <= int(text) <= most):  # noqa: PLR2004  digits
        raise INVALID(field=name, name=name, reason=f"a number from {least} to {most}")
    return int(text)
