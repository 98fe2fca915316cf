"""Whether a file is what its name says. Nothing here loads a model; a safetensors file is read as far as its header.

Source of the format: https://github.com/huggingface/safetensors (README, "Format").
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Final

import msgspec

from appliance.operations.packs import coreml_contents, onnx_contents
from appliance.operations.packs.errors import FORMAT, PICKLE, TRUNCATED
from appliance.operations.packs.manifest import PackManifest
from appliance.plugin_api.vocabulary import VOCABULARY_FILE, read_vocabulary

WEIGHTS: Final = ".safetensors"
INDEX: Final = ".safetensors.index.json"
CONFIG: Final = "config.json"
NETWORKS: Final = frozenset({onnx_contents.SUFFIX, coreml_contents.SUFFIX})
"""Formats of whole networks. Only engines that run them may be given some."""
_OF_NETWORKS: Final = frozenset({"face_verifier"})
_TEXT_SUFFIXES: Final = frozenset({".txt", ".md", ".jinja", ".tiktoken"})
_TEXT_NAMES: Final = frozenset({"LICENSE", "LICENCE", "NOTICE", "README", "USE_POLICY"})
_SENTENCEPIECE: Final = ".model"
_SENTENCEPIECE_START: Final = b"\x0a"
"""Field 1 (``pieces``) of the protobuf message ModelProto."""
_MOST_HEADER: Final = 100 << 20
_MOST_JSON: Final = 256 << 20
_LENGTH_BYTES: Final = 8
_BITS: Final = {
    "BOOL": 8, "U8": 8, "I8": 8, "F8_E4M3": 8, "F8_E5M2": 8, "F8_E8M0": 8, "U16": 16, "I16": 16, "F16": 16, "BF16": 16,
    "U32": 32, "I32": 32, "F32": 32, "C64": 64, "U64": 64, "I64": 64, "F64": 64, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6,
}  # fmt: skip


class _Tensor(msgspec.Struct, forbid_unknown_fields=True):
    dtype: str
    shape: tuple[int, ...]
    data_offsets: tuple[int, int]


def belongs(relative: str) -> bool:
    """Whether a pack may have a file of this name, whatever is in it."""
    path = Path(relative)
    kinds = {WEIGHTS, ".json", _SENTENCEPIECE, onnx_contents.SUFFIX} | _TEXT_SUFFIXES
    return path.suffix.lower() in kinds or path.name in _TEXT_NAMES or coreml_contents.inside(relative)


def check_file(path: Path, relative: str) -> None:
    """Raises ``pack.pickle``, ``pack.truncated`` or ``pack.format`` (422). Blocks."""
    with path.open("rb") as file:
        _refuse_pickle(file.read(_LENGTH_BYTES + 1), relative)
    suffix = path.suffix.lower()
    if coreml_contents.inside(relative):
        coreml_contents.check_part(path, relative)
    elif suffix == onnx_contents.SUFFIX:
        onnx_contents.check_onnx(path, relative)
    elif suffix == WEIGHTS:
        _check_safetensors(path, relative)
    elif suffix == ".json":
        _parse_json(path, relative)
    elif suffix in _TEXT_SUFFIXES or path.name in _TEXT_NAMES:
        _check_text(path, relative)
        if relative == VOCABULARY_FILE:
            _check_vocabulary(path)
    elif suffix == _SENTENCEPIECE:
        with path.open("rb") as file:
            if file.read(1) != _SENTENCEPIECE_START:
                raise FORMAT(file=relative, reason="no SentencePiece model")
    else:
        raise FORMAT(file=relative, reason="a pack has no files of this kind")


def check_whole(folder: Path, manifest: PackManifest) -> None:
    """Together the files are a model: configuration, weights, and every part that an index names.

    Raises:
        ProntuarioError: ``pack.format`` or ``pack.truncated`` (422).
    """
    names = {file.path for file in manifest.files}
    if CONFIG not in names:
        raise FORMAT(file=CONFIG, reason="the pack lacks it")
    if not isinstance(_parse_json(folder / CONFIG, CONFIG), dict):
        raise FORMAT(file=CONFIG, reason="no JSON object")
    _check_networks(folder, manifest.capability, names)
    for name in sorted(names):
        if name.endswith(INDEX):
            parts = _parse_json(folder / name, name).get("weight_map")
            if not isinstance(parts, dict):
                raise FORMAT(file=name, reason="no weight_map")
            for part in sorted({str(part) for part in parts.values()}):
                if part not in names:
                    raise TRUNCATED(file=part)


def _check_networks(folder: Path, capability: str, names: set[str]) -> None:
    """A pack has weights, in a format that its capability's engines read; each Core ML package is whole."""
    packages = {name.rpartition(f"{coreml_contents.SUFFIX}/")[0] for name in names if coreml_contents.inside(name)}
    networks = [name for name in sorted(names) if name.endswith(onnx_contents.SUFFIX)]
    networks += [f"{package}{coreml_contents.SUFFIX}" for package in sorted(packages)]
    if networks and capability not in _OF_NETWORKS:
        raise FORMAT(file=networks[0], reason=f"packs of {capability} hold {WEIGHTS} files")
    if not networks and not any(name.endswith(WEIGHTS) for name in names):
        raise FORMAT(file=f"*{WEIGHTS}", reason="the pack has no weights")
    for package in sorted(packages):
        coreml_contents.check_package(folder, f"{package}{coreml_contents.SUFFIX}")


def _refuse_pickle(start: bytes, relative: str) -> None:
    if coreml_contents.holds_weights(relative) and coreml_contents.looks_like_weights(start):
        return
    weights = relative.lower().endswith(WEIGHTS)
    length = int.from_bytes(start[:_LENGTH_BYTES], "little")
    if weights and start[_LENGTH_BYTES:] == b"{" and length <= _MOST_HEADER:
        return  # a header's length may happen to begin like a pickle
    protocol_2_and_later = start[:1] == b"\x80" and start[1:2] in {b"\2", b"\3", b"\4", b"\5"}
    archive = start[:4] in {b"PK\x03\x04", b"PK\x05\x06"}  # as torch.save writes: pickles in a ZIP file
    protocol_0 = weights and start[:1] in {b"(", b"c", b"]", b"}"}
    if protocol_2_and_later or archive or protocol_0:
        raise PICKLE(file=relative)


def _check_safetensors(path: Path, relative: str) -> None:
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(_LENGTH_BYTES), "little")
        if size < _LENGTH_BYTES or length > _MOST_HEADER:
            raise FORMAT(file=relative, reason="no safetensors header")
        text = file.read(length)
    if len(text) < length:
        raise TRUNCATED(file=relative)
    try:
        header = msgspec.json.decode(text, type=dict[str, Any])
        header.pop("__metadata__", None)
        tensors = msgspec.convert(header, dict[str, _Tensor])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise FORMAT(file=relative, reason="its safetensors header can't be read") from error
    if not tensors:
        raise FORMAT(file=relative, reason="no tensor in it")
    _check_offsets(tensors, relative, size - _LENGTH_BYTES - length)


def _check_offsets(tensors: dict[str, _Tensor], relative: str, data_bytes: int) -> None:
    """Tensors follow each other without holes, each as long as its shape says, and end where the file ends."""
    place = 0
    for name, tensor in sorted(tensors.items(), key=lambda one: one[1].data_offsets):
        begin, end = tensor.data_offsets
        bits = _BITS.get(tensor.dtype)
        if bits is None or min(tensor.shape, default=0) < 0:
            raise FORMAT(file=relative, reason=f"type or shape of {name}")
        if begin != place or (end - begin) * 8 != math.prod(tensor.shape) * bits:
            raise FORMAT(file=relative, reason=f"place or length of {name}")
        place = end
    if place > data_bytes:
        raise TRUNCATED(file=relative)
    if place < data_bytes:
        raise FORMAT(file=relative, reason="bytes after the last tensor")


def _parse_json(path: Path, relative: str) -> Any:
    if path.stat().st_size > _MOST_JSON:
        raise FORMAT(file=relative, reason=f"larger than {_MOST_JSON} bytes")
    try:
        return msgspec.json.decode(path.read_bytes())
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise FORMAT(file=relative, reason="no JSON") from error


def _check_vocabulary(path: Path) -> None:
    try:
        read_vocabulary(path.parent)
    except ValueError as error:
        raise FORMAT(file=VOCABULARY_FILE, reason=str(error)) from error


def _check_text(path: Path, relative: str) -> None:
    if path.stat().st_size > _MOST_JSON:
        raise FORMAT(file=relative, reason=f"larger than {_MOST_JSON} bytes")
    content = path.read_bytes()
    try:
        content.decode()
    except UnicodeDecodeError as error:
        raise FORMAT(file=relative, reason="no UTF-8 text") from error
    if b"\0" in content:
        raise FORMAT(file=relative, reason="no text")
