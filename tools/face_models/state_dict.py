"""Named arrays out of a ``.safetensors`` or ``.pt`` file, without PyTorch and without running anything that the file says.

A ``.pt`` file is pickled. It is read by an unpickler that knows four names and refuses every other, so that a file from
the internet can't do more than be wrong. Both of PyTorch's formats are read: one archive (since 1.6), and the older row of pickles in
which the facenet-pytorch weights come. Source: ``torch/serialization.py``.
"""

from __future__ import annotations

import io
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
from safetensors.numpy import load_file

from tools.face_models.weights import Array, WeightsError

_TYPES: Final[dict[str, np.dtype[Any]]] = {
    "FloatStorage": np.dtype("<f4"),
    "DoubleStorage": np.dtype("<f8"),
    "HalfStorage": np.dtype("<f2"),
    "LongStorage": np.dtype("<i8"),
    "IntStorage": np.dtype("<i4"),
}
_MAGIC: Final = 0x1950A86A20F9469CFC6C
_LENGTH_BYTES: Final = 8


@dataclass(frozen=True)
class _Kind:
    """Stands for a storage class of PyTorch."""

    dtype: np.dtype[Any]


@dataclass
class _Storage:
    """Numbers in a row; in the older format they come only after the names."""

    kind: _Kind
    count: int
    numbers: Array | None = None


@dataclass(frozen=True)
class _Tensor:
    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def array(self) -> Array:
        numbers = self.storage.numbers
        last = self.offset + sum((side - 1) * step for side, step in zip(self.shape, self.strides, strict=True))
        if numbers is None or min(self.shape, default=1) < 1 or min(self.offset, *self.strides, 0) < 0:
            raise WeightsError("a tensor has no numbers")
        if last >= len(numbers):
            raise WeightsError("a tensor reaches beyond its numbers")
        steps = tuple(step * numbers.itemsize for step in self.strides)
        view = np.lib.stride_tricks.as_strided(numbers[self.offset :], self.shape, steps, writeable=False)
        return np.array(view)


class _Unpickler(pickle.Unpickler):
    """Knows tensors, storages and ordered dictionaries; ``find`` resolves a storage by its key."""

    def __init__(self, file: IO[bytes], find: Callable[[_Kind, str, int], _Storage]) -> None:
        super().__init__(file, encoding="utf-8")
        self._find = find

    def find_class(self, module: str, name: str) -> Any:
        if module == "torch" and name in _TYPES:
            return _Kind(_TYPES[name])
        known = {
            ("collections", "OrderedDict"): OrderedDict,
            ("torch._utils", "_rebuild_tensor_v2"): _rebuilt,
        }
        if (module, name) not in known:
            raise WeightsError(f"the file wants to run {module}.{name}")
        return known[module, name]

    def persistent_load(self, pid: Any) -> _Storage:
        if not isinstance(pid, tuple) or len(pid) < 5 or pid[0] != "storage" or not isinstance(pid[1], _Kind):
            raise WeightsError("an unknown kind of storage")
        return self._find(pid[1], str(pid[2]), int(pid[4]))


def _rebuilt(storage: _Storage, offset: int, shape: tuple[int, ...], strides: tuple[int, ...], *_: object) -> _Tensor:
    return _Tensor(storage, offset, tuple(shape), tuple(strides))


def read(path: Path) -> dict[str, Array]:
    """Every array of ``path``. Raises ``WeightsError`` for what can't be read, ``OSError``."""
    if path.suffix == ".safetensors":
        return dict(load_file(path))
    try:
        found = _read_archive(path) if zipfile.is_zipfile(path) else _read_row(path)
    except (pickle.UnpicklingError, EOFError, KeyError, ValueError, TypeError, IndexError, AttributeError) as error:
        raise error if isinstance(error, WeightsError) else WeightsError(f"{path.name}: {error}") from error
    return {name: tensor.array() for name, tensor in found.items() if isinstance(tensor, _Tensor)}


def _read_archive(path: Path) -> dict[str, Any]:
    with zipfile.ZipFile(path) as archive:
        names = {name.rpartition("/")[2]: name for name in archive.namelist() if name.count("/") == 1}
        top = names["data.pkl"].rpartition("/")[0]

        def find(kind: _Kind, key: str, count: int) -> _Storage:
            return _Storage(kind, count, np.frombuffer(archive.read(f"{top}/data/{key}"), kind.dtype, count))

        return _dictionary(_Unpickler(io.BytesIO(archive.read(names["data.pkl"])), find).load())


def _read_row(path: Path) -> dict[str, Any]:
    storages: dict[str, _Storage] = {}

    def find(kind: _Kind, key: str, count: int) -> _Storage:
        return storages.setdefault(key, _Storage(kind, count))

    with path.open("rb") as file:
        if _Unpickler(file, find).load() != _MAGIC:
            raise WeightsError(f"{path.name} is no PyTorch file")
        for _ in ("protocol version", "system"):
            _Unpickler(file, find).load()
        found = _dictionary(_Unpickler(file, find).load())
        for key in _Unpickler(file, find).load():
            storage = storages[key]
            count = int.from_bytes(file.read(_LENGTH_BYTES), "little")
            if count != storage.count:
                raise WeightsError(f"{path.name}: a storage has another length than its tensors")
            dtype = storage.kind.dtype
            storage.numbers = np.frombuffer(file.read(count * dtype.itemsize), dtype, count)
    return found


def _dictionary(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise WeightsError("no dictionary of arrays")
    return value
