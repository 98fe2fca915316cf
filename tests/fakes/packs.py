"""Small model folders in the real on-disk formats, and signed packs of them; no model library is needed."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from appliance.operations.packs.manifest import MANIFEST_NAME, SIGNATURE_NAME, PackManifest
from appliance.operations.packs.signing import make_pack, sign

MAKER = Ed25519PrivateKey.from_private_bytes(b"m" * 32)
STRANGER = Ed25519PrivateKey.from_private_bytes(b"s" * 32)
KINDS = (
    "config.json",
    "model-00001-of-00002.safetensors",
    "model-00002-of-00002.safetensors",
    "model.safetensors.index.json",
    "sub/vocab.txt",
    "tokenizer.model",
    "chat_template.jinja",
    "LICENSE",
)
"""One file of each kind that a pack may hold, as ``write_model`` makes them."""


def safetensors(tensors: dict[str, tuple[int, ...]], fill: bytes = b"\x3f") -> bytes:
    """The bytes of a file with these F32 tensors (name → shape)."""
    header: dict[str, Any] = {"__metadata__": {"format": "mlx"}}
    place = 0
    for name, shape in tensors.items():
        size = 4
        for side in shape:
            size *= side
        header[name] = {"dtype": "F32", "shape": list(shape), "data_offsets": [place, place + size]}
        place += size
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + fill * place


def write_model(folder: Path, *, fill: bytes = b"\x3f", side: int = 16) -> Path:
    """A folder as Hugging Face hands them out, with every kind of file that a pack may hold."""
    (folder / "sub").mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({"model_type": "gemma3_text", "layers": 2}))
    (folder / "model-00001-of-00002.safetensors").write_bytes(safetensors({"a": (side, side), "b": (3,)}, fill))
    (folder / "model-00002-of-00002.safetensors").write_bytes(safetensors({"c": (side, side)}, fill))
    parts = {"a": KINDS[1], "b": KINDS[1], "c": KINDS[2]}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": parts}))
    (folder / "sub" / "vocab.txt").write_text("febre\ntosse\nação\n")
    (folder / "tokenizer.model").write_bytes(b"\x0a\x0e\x0a\x05<unk>\x15\x00\x00\x00\x00\x18\x02")
    (folder / "chat_template.jinja").write_text("{% for m in messages %}{{ m['content'] }}{% endfor %}")
    (folder / "LICENSE").write_text("Apache 2.0 …")
    (folder / ".gitattributes").write_text("*.safetensors filter=lfs")
    return folder


def sign_model(folder: Path, **changes: Any) -> PackManifest:
    """Make ``folder`` a pack of the maker."""
    fields: dict[str, Any] = {
        "key": MAKER,
        "name": "tiny",
        "version": 1,
        "capability": "chat_model",
        "licence": "Apache-2.0",
        "intended_use": "Tests only.",
        "footprint_bytes": 1 << 20,
    }
    return make_pack(folder, **(fields | changes))


def make(folder: Path, *, fill: bytes = b"\x3f", side: int = 16, **changes: Any) -> PackManifest:
    """A model folder and its signature in one go."""
    return sign_model(write_model(folder, fill=fill, side=side), **changes)


def resign(folder: Path, content: bytes, key: Ed25519PrivateKey = MAKER) -> None:
    """Put another manifest into ``folder``, signed by ``key``: what a careless or hostile maker could do."""
    (folder / MANIFEST_NAME).write_bytes(content)
    (folder / SIGNATURE_NAME).write_bytes(sign(content, key))


def write_trusted(keys: Path, key: Ed25519PrivateKey = MAKER) -> Path:
    """The folder of trusted keys, holding the maker's."""
    keys.mkdir(parents=True, exist_ok=True)
    pem = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (keys / "maker.pem").write_bytes(pem)
    return keys
