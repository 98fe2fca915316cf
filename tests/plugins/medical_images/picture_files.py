"""Small picture files of every kind, made as a test needs them."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

SAMPLES = {"RGB": 3, "YBR_FULL": 3, "YBR_FULL_422": 3}


def dicom(path: Path, pixels: np.ndarray[Any, Any], *, photometric: str = "MONOCHROME2", **fields: Any) -> Path:
    """``pixels``: (frames, rows, columns[, samples]) or without frames; ``fields`` are set last, None takes one out."""
    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.1"
    data.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    data.SOPClassUID, data.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.1", data.file_meta.MediaStorageSOPInstanceUID
    samples = SAMPLES.get(photometric, 1)
    shape = pixels.shape[: -1 if samples > 1 else None]
    data.Rows, data.Columns = shape[-2:]
    if len(shape) == 3:
        data.NumberOfFrames = shape[0]
    data.PhotometricInterpretation, data.SamplesPerPixel = photometric, samples
    if samples > 1:
        data.PlanarConfiguration = 0
    data.BitsAllocated = data.BitsStored = pixels.dtype.itemsize * 8
    data.HighBit = data.BitsStored - 1
    data.PixelRepresentation = int(pixels.dtype.kind == "i")
    data.Modality = "CR"
    data.PixelData = pixels.tobytes() + b"\0" * (pixels.nbytes % 2)
    for keyword, value in fields.items():
        if value is None:
            delattr(data, keyword)
        else:
            setattr(data, keyword, value)
    data["PixelData"].VR = "OW" if pixels.dtype.itemsize > 1 else "OB"
    data.save_as(path, enforce_file_format=True)
    return path


def group(**fields: Any) -> Dataset:
    """A sequence item."""
    made = Dataset()
    for keyword, value in fields.items():
        setattr(made, keyword, value)
    return made


def ramp(rows: int, columns: int, dtype: type = np.uint16, top: int = 4095) -> np.ndarray[Any, Any]:
    """From 0 to ``top``, row after row."""
    return np.linspace(0, top, rows * columns).round().astype(dtype).reshape(rows, columns)


def corner(width: int = 40, height: int = 24) -> Image.Image:
    """White with a red block in the upper left corner: turning and mirroring show."""
    picture = Image.new("RGB", (width, height), (255, 255, 255))
    picture.paste((255, 0, 0), (0, 0, width // 4, height // 4))
    return picture


def photo(path: Path, picture: Image.Image, *, orientation: int = 1, **options: Any) -> Path:
    """A JPEG, PNG or HEIC by the path's ending."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x0132] = "2026:03:04 10:11:12"
    picture.save(path, exif=exif.tobytes(), **options)
    return path


def png_header(path: Path, width: int, height: int) -> Path:
    """A PNG of any claimed size whose compressed rows are a few bytes of zeros."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    rows = zlib.compress(b"\0" * 1000)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b""))
    return path


def patched(path: Path, offset: int, data: bytes) -> Path:
    """Other bytes at one place of the file."""
    whole = bytearray(path.read_bytes())
    whole[offset : offset + len(data)] = data
    path.write_bytes(whole)
    return path
