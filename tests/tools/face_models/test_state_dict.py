"""Weights out of PyTorch's files, without PyTorch: both formats are written here by hand, as PyTorch writes them."""

from __future__ import annotations

import io
import os
import pickle
import struct
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from tools.face_models.state_dict import read
from tools.face_models.weights import WeightsError

MATRIX = np.arange(12, dtype=np.float32).reshape(3, 4)
VECTOR = np.array([1.5, -2.0, 8.0], np.float32)


class Named:
    """Pickled as a global name of a module, like a class of PyTorch."""

    def __init__(self, module: str, name: str) -> None:
        self.module, self.name = module, name


class Rebuilt:
    """Pickled as a call of ``torch._utils._rebuild_tensor_v2``."""

    def __init__(self, key: str, count: int, shape: tuple[int, ...], strides: tuple[int, ...], offset: int = 0) -> None:
        self.storage, self.rest = Stored(key, count), (offset, shape, strides, False, OrderedDict())


class Stored:
    def __init__(self, key: str, count: int) -> None:
        self.key, self.count = key, count


class _Pickler(pickle._Pickler):  # type: ignore[misc,name-defined]  # the one in Python lets a test write any name
    def __init__(self, file: Any, *, old: bool) -> None:
        super().__init__(file, protocol=2)
        self._old = old

    def persistent_id(self, value: Any) -> Any:
        if not isinstance(value, Stored):
            return None
        head = ("storage", Named("torch", "FloatStorage"), value.key, "cpu", value.count)
        return (*head, None) if self._old else head

    def save(self, value: Any, save_persistent_id: bool = True) -> None:
        if isinstance(value, Named):
            self.write(f"c{value.module}\n{value.name}\n".encode())
        elif isinstance(value, Rebuilt):
            self.write(b"ctorch._utils\n_rebuild_tensor_v2\n")
            self.save((value.storage, *value.rest))
            self.write(b"R")
        else:
            super().save(value, save_persistent_id)


def pickled(value: Any, *, old: bool) -> bytes:
    file = io.BytesIO()
    _Pickler(file, old=old).dump(value)
    return file.getvalue()


def tensors() -> dict[str, Any]:
    return OrderedDict(
        matrix=Rebuilt("7", 12, (3, 4), (4, 1)),
        turned=Rebuilt("7", 12, (4, 3), (1, 4)),
        vector=Rebuilt("9", 3, (3,), (1,)),
    )


def old_format(path: Path, content: Any, storages: dict[str, Any], *, magic: int = 0x1950A86A20F9469CFC6C) -> Path:
    parts = [pickle.dumps(magic, 2), pickle.dumps(1001, 2), pickle.dumps({"little_endian": True}, 2)]
    parts += [pickled(content, old=True), pickle.dumps(list(storages), 2)]
    parts += [struct.pack("<q", array.size) + array.tobytes() for array in storages.values()]
    path.write_bytes(b"".join(parts))
    return path


def archive(path: Path, content: Any, storages: dict[str, Any]) -> Path:
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("archive/data.pkl", pickled(content, old=False))
        for key, array in storages.items():
            file.writestr(f"archive/data/{key}", array.tobytes())
        file.writestr("archive/version", "3\n")
    return path


def check(found: dict[str, Any]) -> None:
    assert np.array_equal(found["matrix"], MATRIX)
    assert np.array_equal(found["turned"], MATRIX.T)
    assert np.array_equal(found["vector"], VECTOR)


@pytest.mark.parametrize("write", [old_format, archive])
def test_both_formats_of_pytorch(tmp_path: Path, write: Any) -> None:
    check(read(write(tmp_path / "weights.pt", tensors(), {"7": MATRIX, "9": VECTOR})))


def test_safetensors(tmp_path: Path) -> None:
    save_file(
        {"matrix": MATRIX, "vector": VECTOR, "turned": np.ascontiguousarray(MATRIX.T)}, tmp_path / "a.safetensors"
    )
    check(read(tmp_path / "a.safetensors"))


@pytest.mark.parametrize("write", [old_format, archive])
@pytest.mark.parametrize(
    "name", [("posix", "system"), ("builtins", "eval"), ("torch", "load"), ("collections", "Counter")]
)
def test_a_file_that_wants_to_run_something(tmp_path: Path, write: Any, name: tuple[str, str]) -> None:
    path = write(tmp_path / "weights.pt", OrderedDict(a=Named(*name)), {})
    with pytest.raises(WeightsError, match=f"{name[0]}.{name[1]}"):
        read(path)


def test_nothing_of_a_hostile_pickle_is_run(tmp_path: Path) -> None:
    class Hostile:
        def __reduce__(self) -> Any:
            return os.mkdir, (str(tmp_path / "was-here"),)

    (tmp_path / "weights.pt").write_bytes(pickle.dumps(Hostile()))
    with pytest.raises(WeightsError, match="mkdir"):
        read(tmp_path / "weights.pt")
    assert not (tmp_path / "was-here").exists()


@pytest.mark.parametrize("content", [b"", b"no weights", pickle.dumps([1, 2]), b"\x80\x02\x8a"])
def test_what_is_no_file_of_pytorch(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "weights.pt").write_bytes(content)
    with pytest.raises(WeightsError):
        read(tmp_path / "weights.pt")


@pytest.mark.parametrize(
    "tensor",
    [
        Rebuilt("7", 12, (4, 4), (4, 1)),
        Rebuilt("7", 12, (3, 4), (4, 1), offset=1),
        Rebuilt("7", 12, (2, 2), (-1, 1)),
        Rebuilt("7", 12, (2,), (1,), offset=-3),
        Rebuilt("7", 99, (3, 4), (4, 1)),
    ],
    ids=["too large", "beyond the end", "backwards", "before the beginning", "another length"],
)
@pytest.mark.parametrize("write", [old_format, archive])
def test_a_tensor_never_reaches_beyond_its_numbers(tmp_path: Path, write: Any, tensor: Rebuilt) -> None:
    path = write(tmp_path / "weights.pt", OrderedDict(a=tensor), {"7": MATRIX})
    with pytest.raises(WeightsError):
        read(path)


@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
@pytest.mark.parametrize("write", [old_format, archive])
def test_a_file_cut_short(tmp_path: Path, write: Any, share: float) -> None:
    path = write(tmp_path / "weights.pt", tensors(), {"7": MATRIX, "9": VECTOR})
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(WeightsError):
        read(path)
