"""Make the sample's chest picture again: ``python -m tools.chest_phantom`` (numpy 2.4, Pillow 13, pydicom 3.0).

No person was ever in front of it: ellipses and arcs of a fixed seed, laid out like a chest, with ``SINTETICO`` in the pixels and
in the header. The header names the sample consult's invented patient, so that the check of identity has something to check.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ComputedRadiographyImageStorage, DeflatedExplicitVRLittleEndian, generate_uid

Plane: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]
OUT: Final = Path(__file__).resolve().parent.parent / "appliance" / "daemon" / "sample" / "chest.dcm"
SIDE: Final = 512
"""Pixels along one edge."""
BITS: Final = 10
"""Of the sixteen that each pixel has room for, as in many a computed radiograph."""
DEEPEST: Final = (1 << BITS) - 1
SEED: Final = 20_261_121
GRAIN: Final = 1.0
"""Standard deviation of the noise, in grey values."""
MARK: Final = "SINTETICO - DEMONSTRACAO"
MARK_SCALE: Final = 2
WINDOW: Final = (512, 900)
"""Centre and width."""
MOST_BYTES: Final = 300_000
_RIBS: Final = 8


def ellipse(x: Plane, y: Plane, place: tuple[float, float], radii: tuple[float, float], soft: float = 0.05) -> Plane:
    """1 inside, 0 outside, with an edge ``soft`` of the radius wide. Lengths are parts of the picture's edge."""
    distance = np.hypot((x - place[0]) / radii[0], (y - place[1]) / radii[1])
    inside: Plane = 1 / (1 + np.exp(np.clip((distance - 1) / soft, -40, 40)))
    return inside


def thorax() -> Plane:
    """How much of the beam each place stops, 0 to 1; bright is dense (MONOCHROME2)."""
    line = (np.arange(SIDE) + 0.5) / SIDE
    x, y = np.meshgrid(line, line)
    body = ellipse(x, y, (0.5, 0.62), (0.46, 0.6), 0.02)
    dense = 0.45 * body
    for side in (-1, 1):
        lung = ellipse(x, y, (0.5 + side * 0.2, 0.5), (0.15, 0.31))
        dense -= 0.28 * lung * body
        for rib in range(_RIBS):
            middle = 0.24 + rib * 0.075 + 1.1 * (np.abs(x - 0.5) - 0.18) ** 2
            arc = np.exp(-(((y - middle) / 0.009) ** 2)) * ellipse(x, y, (0.5 + side * 0.2, 0.5), (0.17, 0.34))
            dense += 0.09 * arc * body
        collar = 0.17 - 0.18 * (np.abs(x - 0.5) - 0.1)
        dense += 0.16 * np.exp(-(((y - collar) / 0.012) ** 2)) * ellipse(x, y, (0.5 + side * 0.17, 0.15), (0.15, 0.1))
    dense += 0.2 * np.exp(-(((x - 0.5) / 0.035) ** 2)) * body  # spine
    dense += 0.24 * ellipse(x, y, (0.55, 0.63), (0.13, 0.12)) * body  # heart
    dense += 0.22 * ellipse(x, y, (0.5, 1.02), (0.42, 0.28)) * body  # below the diaphragm
    return np.clip(dense, 0, 1)


def mark() -> Plane:
    """The words, as a mask of the whole picture; Pillow's bitmap font looks the same everywhere."""
    font = ImageFont.load_default_imagefont()
    left, top, right, bottom = (int(edge) for edge in font.getbbox(MARK))
    drawn = Image.new("L", (right - left, bottom - top))
    ImageDraw.Draw(drawn).text((-left, -top), MARK, 255, font=font)
    large = drawn.resize((drawn.width * MARK_SCALE, drawn.height * MARK_SCALE), Image.Resampling.NEAREST)
    whole = Image.new("L", (SIDE, SIDE))
    whole.paste(large, ((SIDE - large.width) // 2, SIDE - large.height - 8))
    return np.asarray(whole, np.float64) / 255


def pixels() -> np.ndarray[Any, np.dtype[np.uint16]]:
    """The picture: (SIDE, SIDE), 0 to ``DEEPEST``."""
    grey = 40 + 900 * thorax() + np.random.default_rng(SEED).normal(0, GRAIN, (SIDE, SIDE))
    words = mark()
    return np.clip(np.rint(grey * (1 - words) + DEEPEST * words), 0, DEEPEST).astype(np.uint16)


def radiograph() -> FileDataset:
    """The file, with a header like that of a computed radiograph."""
    instance = generate_uid(entropy_srcs=["prontuario", "chest phantom", "instance"])
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = ComputedRadiographyImageStorage, instance
    data = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    data.SOPClassUID, data.SOPInstanceUID = ComputedRadiographyImageStorage, instance
    for keyword, value in _header().items():
        setattr(data, keyword, value)
    drawn = pixels()
    data.Rows, data.Columns = drawn.shape
    data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 16, BITS, BITS - 1, 0
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.WindowCenter, data.WindowWidth = WINDOW
    data.PixelData = drawn.astype("<u2").tobytes()
    data["PixelData"].VR = "OW"
    return data


def _header() -> dict[str, Any]:
    return {
        "SpecificCharacterSet": "ISO_IR 192",
        "ImageType": ["DERIVED", "SECONDARY"],
        "Modality": "CR",
        "Manufacturer": "Prontuário",
        "ManufacturerModelName": "tools/chest_phantom.py",
        "InstitutionName": "Demonstração",
        "StudyDate": "20261118",
        "AcquisitionDate": "20261118",
        "StudyDescription": "Imagem sintética, nunca um exame",
        "SeriesDescription": "Synthetic phantom, never a study",
        "DerivationDescription": "Formas geométricas com semente fixa",
        "ImageComments": "SINTÉTICO / SYNTHETIC. Nenhuma pessoa foi radiografada.",
        "PatientName": "Amostra^Maria",
        "PatientID": "AMOSTRA-0001",
        "PatientBirthDate": "19680314",
        "PatientSex": "F",
        "BodyPartExamined": "CHEST",
        "ViewPosition": "PA",
        "BurnedInAnnotation": "NO",  # the words in the pixels name nobody
        "StudyInstanceUID": generate_uid(entropy_srcs=["prontuario", "chest phantom", "study"]),
        "SeriesInstanceUID": generate_uid(entropy_srcs=["prontuario", "chest phantom", "series"]),
        "InstanceNumber": 1,
    }


def main() -> None:
    """Write the sample."""
    radiograph().save_as(OUT, enforce_file_format=True)
    size = OUT.stat().st_size
    if size > MOST_BYTES:
        raise SystemExit(f"{OUT.name} has {size} bytes, more than {MOST_BYTES}")
    print(f"{OUT.name}: {size} bytes")


if __name__ == "__main__":
    main()
