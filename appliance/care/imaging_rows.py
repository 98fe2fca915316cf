"""Pictures and their analyses in the store: plain functions on a transaction."""

from __future__ import annotations

from typing import Any, Final, TypeVar

import msgspec

from appliance.care.imaging_model import Analysis, AnalysisState, Asked, Image, Result
from appliance.plugin_api.errors import NOT_FOUND
from appliance.plugin_api.images import ImageFacts
from appliance.plugin_api.storage import Query, Row, Transaction

T = TypeVar("T", Image, Analysis)
_IMAGE: Final = ", ".join(Image.__struct_fields__)
_ANALYSIS: Final = ", ".join(Analysis.__struct_fields__)
_JSON: Final[dict[str, type]] = {"facts": ImageFacts, "asked": Asked, "result": Result}


def add_image(tx: Transaction, image: Image) -> None:
    """Keep a new picture."""
    _add(tx, "care_image", image)


def image(q: Query, image_id: str) -> Image:
    """The picture. Raises ``not_found`` 404."""
    row = q.one(f"SELECT {_IMAGE} FROM care_image WHERE id = ?", (image_id,))  # noqa: S608  fixed columns
    if row is None:
        raise NOT_FOUND(what="image")
    return _made(Image, row)


def known(q: Query, patient_id: str, sha256: str) -> Image | None:
    """The same file of the same patient, if it is here already."""
    row = q.one(f"SELECT {_IMAGE} FROM care_image WHERE patient_id = ? AND sha256 = ?", (patient_id, sha256))  # noqa: S608  fixed columns
    return None if row is None else _made(Image, row)


def images(q: Query, *, patient_id: str, limit: int) -> list[Image]:
    """A patient's pictures, newest first."""
    found = q.all(
        f"SELECT {_IMAGE} FROM care_image WHERE patient_id = ? ORDER BY uploaded_at DESC, id LIMIT ?",  # noqa: S608  fixed columns
        (patient_id, limit),
    )
    return [_made(Image, row) for row in found]


def add_analysis(tx: Transaction, analysis: Analysis) -> None:
    """Keep a new question."""
    _add(tx, "care_image_analysis", analysis)


def analysis(q: Query, analysis_id: str, image_id: str | None = None) -> Analysis:
    """The analysis, of that picture if one is named. Raises ``not_found`` 404."""
    row = q.one(f"SELECT {_ANALYSIS} FROM care_image_analysis WHERE id = ?", (analysis_id,))  # noqa: S608  fixed columns
    found = None if row is None else _made(Analysis, row)
    if found is None or image_id not in (None, found.image_id):
        raise NOT_FOUND(what="analysis")
    return found


def analyses(q: Query, image_id: str) -> list[Analysis]:
    """Of one picture, newest first."""
    found = q.all(
        f"SELECT {_ANALYSIS} FROM care_image_analysis WHERE image_id = ? ORDER BY asked_at DESC, id",  # noqa: S608  fixed columns
        (image_id,),
    )
    return [_made(Analysis, row) for row in found]


def waiting(q: Query, limit: int) -> list[Analysis]:
    """What is still to be looked at."""
    found = q.all(f"SELECT {_ANALYSIS} FROM care_image_analysis WHERE state = 'waiting' LIMIT ?", (limit,))  # noqa: S608  fixed columns
    return [_made(Analysis, row) for row in found]


def change(
    tx: Transaction, analysis_id: str, *, now: str, state: AnalysisState | None = None, **columns: Any
) -> Analysis:
    """Set columns; ``result`` is kept as JSON."""
    values = {name: _kept(name, value) for name, value in columns.items()} | {"changed_at": now}
    if state is not None:
        values["state"] = state
    assignments = ", ".join(f"{column} = ?" for column in values)
    tx.execute(f"UPDATE care_image_analysis SET {assignments} WHERE id = ?", [*values.values(), analysis_id])  # noqa: S608  our own column names
    return analysis(tx, analysis_id)


def _add(tx: Transaction, table: str, value: Image | Analysis) -> None:
    names = value.__struct_fields__
    kept = [_kept(name, getattr(value, name)) for name in names]
    tx.execute(f"INSERT INTO {table} ({', '.join(names)}) VALUES ({', '.join('?' for _ in names)})", kept)  # noqa: S608  our own names


def _kept(name: str, value: Any) -> Any:
    return msgspec.json.encode(value).decode() if name in _JSON and value is not None else value


def _made(shape: type[T], row: Row) -> T:
    values: dict[str, Any] = dict(zip(shape.__struct_fields__, tuple(row), strict=True))
    for name, kind in _JSON.items():
        if values.get(name) is not None:
            values[name] = msgspec.json.decode(str(values[name]), type=kind)
    return shape(**values)
