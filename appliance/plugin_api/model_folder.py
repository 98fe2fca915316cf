"""Where a plugin's model lies: a configured folder, an installed pack, or the demonstration that ships with it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from appliance.plugin_api.errors import define

MODEL_FOLDER = define(
    "model.folder",
    422,
    pt=("A pasta do modelo não serve: falta {missing}.", "Corrija o caminho na configuração ou instale um pacote."),
    en=("The model folder is not usable: {missing} is missing.", "Correct the configured path or install a pack."),
)
_WEIGHT_SUFFIXES: Final = (".safetensors", ".npz", ".onnx")
_PACKAGE_SUFFIX: Final = ".mlpackage"
_BLOCK_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class ModelFolder:
    """A folder with ``config.json`` and weights; ``demonstration`` marks weights that must never serve care."""

    path: Path
    demonstration: bool


def find_model_folder(*, configured: str | None, models_dir: Path, capability: str, demonstration: Path) -> ModelFolder:
    """The configured folder, else the active pack of ``capability``, else the demonstration.

    Raises:
        ProntuarioError: ``model.folder`` (422) when the configured folder or the active pack holds no model.
    """
    if configured is not None:
        return ModelFolder(_checked(Path(configured).expanduser()), demonstration=False)
    pack = models_dir / capability / "active"
    if pack.exists() or pack.is_symlink():
        # Resolved: an engine that restarts while another pack takes over must load its own one again.
        return ModelFolder(_checked(pack.resolve()), demonstration=False)
    return ModelFolder(demonstration, demonstration=True)


def weight_files(folder: Path) -> list[Path]:
    """The weight files of a folder, by name; of a Core ML package (a folder itself) all files."""
    packages = [path for path in folder.iterdir() if path.suffix == _PACKAGE_SUFFIX and path.is_dir()]
    plain = (path for path in folder.iterdir() if path.suffix in _WEIGHT_SUFFIXES)
    inner = (path for package in packages for path in package.rglob("*"))
    return sorted(path for path in (*plain, *inner) if path.is_file())


def weight_bytes(folder: Path) -> int:
    """How large the weights are on disk."""
    return sum(path.stat().st_size for path in weight_files(folder))


def weight_sha256(folder: Path) -> str:
    """SHA-256 over the weight files in order of their names: the hash that provenance records carry."""
    digest = hashlib.sha256()
    for path in weight_files(folder):
        with path.open("rb") as file:
            while block := file.read(_BLOCK_BYTES):
                digest.update(block)
    return digest.hexdigest()


def _checked(folder: Path) -> Path:
    if not (folder / "config.json").is_file():
        raise MODEL_FOLDER(field="model", missing="config.json")
    if not weight_files(folder):
        raise MODEL_FOLDER(field="model", missing="weights")
    return folder
