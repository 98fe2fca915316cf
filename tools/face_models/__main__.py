"""Make a face pack's folder from weights of facenet-pytorch's shapes.

``python -m tools.face_models --embedder 20180402-114759-vggface2.pt --detector FOLDER --out faces`` reads the embedder
(Inception-ResNet-v1, ``.pt`` or ``.safetensors``) and ``pnet``, ``rnet``, ``onet`` in FOLDER (``.pt`` or ``.safetensors``; they lie in
the facenet-pytorch wheel under ``facenet_pytorch/data``), and writes ONNX and Core ML files. Then: ``prontuario models sign faces
--capability face_verifier …``. Whether the weights may be used, and for what, is their licence's affair: put its text into the pack.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tools.face_models.folder import Sources, write
from tools.face_models.onnx_format import DETECTOR
from tools.face_models.state_dict import read
from tools.face_models.weights import WeightsError


def main() -> int:
    """Exit status 0, or 1 with the reason."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--embedder", type=Path, required=True)
    parser.add_argument("--detector", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--name", default="inception-resnet-v1", help="shown to people and kept with each template")
    parser.add_argument("--no-coreml", action="store_true", help="ONNX only, for nodes that are no Macs")
    asked = parser.parse_args()
    try:
        detector = {part: read(_found(asked.detector, part)) for part in DETECTOR}
        write(asked.out, Sources(read(asked.embedder), detector), name=asked.name, coreml=not asked.no_coreml)
    except (WeightsError, OSError) as error:
        print(f"not made: {error}", file=sys.stderr)
        return 1
    print(f"{asked.out}: next, prontuario models sign {asked.out} --capability face_verifier …")
    return 0


def _found(folder: Path, part: str) -> Path:
    for suffix in (".safetensors", ".pt"):
        if (folder / f"{part}{suffix}").is_file():
            return folder / f"{part}{suffix}"
    raise FileNotFoundError(f"{folder} has no {part}.pt or {part}.safetensors")


if __name__ == "__main__":
    sys.exit(main())
