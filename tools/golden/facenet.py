"""Makes ``tests/plugins/facenet_auth/golden/``: what the reference says of seeded weights, seeded pictures and one photograph.

Run once, with Python 3.11, torch 2.15.0 (CPU), facenet-pytorch 2.6.0, numpy 2.4.6 and scikit-image 0.26.0 in an environment
of their own (none of them is a dependency of Prontuário), from the repository's root::

    PYTHONPATH=. python -m tools.golden.facenet tests/plugins/facenet_auth/golden

torchvision, which facenet-pytorch imports, may be missing: of it only ``batched_nms`` is used, and ``_stand_in`` has it as its
documentation defines it. The photograph is scikit-image's ``astronaut()``, NASA's S95-E-08063, in the public domain.
"""

from __future__ import annotations

import importlib.util
import json
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from tools.face_models import inception, seeded

SEED = 1
FACES = 4
DETECTOR_SIDES = {"pnet": (40, 52), "rnet": (24, 24), "onet": (48, 48)}
CALIBRATION = (4, 8)
SCENE = (120, 160)
SCENE_FACE = 30
SCENE_KEPT = (0.85, 0.5, 0.4)
"""Which share of the candidates a stage drops in the scene: thresholds are chosen so."""


def _stand_in() -> None:
    def batched_nms(boxes: Any, scores: Any, groups: Any, threshold: float) -> Any:
        """Highest score first; what overlaps it in its own group by more than ``threshold`` (intersection over union) goes."""
        order, kept = scores.argsort(descending=True, stable=True), []
        area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
        while len(order):
            first, order = order[0], order[1:]
            kept.append(first)
            corner = torch.maximum(boxes[first, :2], boxes[order, :2])
            shared = (torch.minimum(boxes[first, 2:4], boxes[order, 2:4]) - corner).clamp(min=0).prod(dim=1)
            apart = shared / (area[first] + area[order] - shared) <= threshold
            order = order[apart | (groups[order] != groups[first])]
        return torch.stack(kept) if kept else torch.zeros(0, dtype=torch.long)

    modules = {name: types.ModuleType(name) for name in (
        "torchvision", "torchvision.transforms", "torchvision.transforms.functional", "torchvision.ops", "torchvision.ops.boxes",
    )}  # fmt: skip
    modules["torchvision.ops.boxes"].batched_nms = batched_nms  # type: ignore[attr-defined]
    modules["torchvision.transforms"].functional = modules["torchvision.transforms.functional"]  # type: ignore[attr-defined]
    sys.modules.update(modules)


def _tensors(arrays: dict[str, Any]) -> dict[str, Any]:
    return {name: torch.from_numpy(np.array(value)) for name, value in arrays.items()}


def _batch(numbers: range, side: int) -> Any:
    pictures = np.stack([seeded.picture(number, side) for number in numbers]).transpose(0, 3, 1, 2)
    return (torch.from_numpy(pictures.astype(np.float32)) - 127.5) / 128.0


def embedder() -> tuple[Any, Any]:
    """(statistics in the order of ``inception.shapes()`` as float16, embeddings of the first pictures)."""
    from facenet_pytorch.models.inception_resnet_v1 import InceptionResnetV1

    shapes = inception.shapes()
    model = InceptionResnetV1(pretrained=None)
    model.load_state_dict(_tensors(seeded.arrays(shapes, SEED)), strict=False)
    model.train()
    model.dropout.eval()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d | nn.BatchNorm1d):
            module.momentum = None  # the plain mean over all batches
    batches, size = CALIBRATION
    with torch.no_grad():
        for number in range(batches):
            model(_batch(range(100 + number * size, 100 + (number + 1) * size), inception.SIDE))
    state = {name: value.numpy() for name, value in model.state_dict().items()}
    statistics = {name: state[name].astype(np.float16) for name in shapes if ".running_" in name}
    kept = {name: value.astype(np.float32) for name, value in statistics.items()}
    model.load_state_dict(_tensors(seeded.arrays(shapes, SEED, kept)), strict=False)
    model.eval()
    with torch.no_grad():
        embeddings = model(_batch(range(FACES), inception.SIDE)).numpy()
    return np.concatenate(list(statistics.values())), embeddings


def detector() -> dict[str, Any]:
    """Outputs of the seeded networks, and a whole detection with them."""
    from facenet_pytorch.models.mtcnn import ONet, PNet, RNet

    nets = {"pnet": PNet(pretrained=False), "rnet": RNet(pretrained=False), "onet": ONet(pretrained=False)}
    made: dict[str, Any] = {}
    for name, net in nets.items():
        shapes = {key: tuple(value.shape) for key, value in net.state_dict().items()}
        net.load_state_dict(_tensors(seeded.arrays(shapes, SEED)))
        net.eval()
        height, width = DETECTOR_SIDES[name]
        pictures = _batch(range(2), 64)[:, :, :height, :width]
        with torch.no_grad():
            for number, value in enumerate(net(pictures)):
                made[f"{name}.{number}"] = value.numpy()
    return made | _scene(nets)


def _scene(nets: dict[str, Any]) -> dict[str, Any]:
    from facenet_pytorch.models.utils.detect_face import detect_face

    picture = seeded.picture(7, max(SCENE))[: SCENE[0], : SCENE[1]]
    thresholds: list[float] = []
    for share in SCENE_KEPT:
        seen: list[Any] = []
        net = list(nets.values())[len(thresholds)]
        hook = net.register_forward_hook(lambda _module, _inputs, out, seen=seen: seen.append(out[-1][:, 1].flatten()))
        with torch.no_grad():
            detect_face(picture, SCENE_FACE, *nets.values(), [*thresholds, 0.0, 0.0, 0.0][:3], 0.709, "cpu")
        hook.remove()
        thresholds.append(float(np.quantile(torch.cat(seen).numpy(), share)))
    with torch.no_grad():
        boxes, points = detect_face(picture, SCENE_FACE, *nets.values(), thresholds, 0.709, "cpu")
    return {
        "scene.thresholds": np.array(thresholds),
        "scene.boxes": np.array(boxes[0], np.float32),
        "scene.points": np.array(points[0], np.float32),
    }


def photograph() -> dict[str, Any]:
    """Where the reference, with its own weights, sees the face."""
    from facenet_pytorch.models.mtcnn import ONet, PNet, RNet
    from facenet_pytorch.models.utils.detect_face import detect_face
    from skimage.data import astronaut

    with torch.no_grad():
        boxes, points = detect_face(astronaut(), 40, PNet(), RNet(), ONet(), [0.6, 0.7, 0.7], 0.709, "cpu")
    return {
        "boxes": np.array(boxes[0], float).round(3).tolist(),
        "points": np.array(points[0], float).round(3).tolist(),
    }


def main() -> None:
    """Write the golden files into the folder that is named."""
    if importlib.util.find_spec("torchvision") is None:
        _stand_in()
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    torch.set_num_threads(2)
    statistics, embeddings = embedder()
    np.savez_compressed(folder / "facenet.npz", statistics=statistics, embeddings=embeddings, **detector())
    (folder / "photograph.json").write_text(json.dumps(photograph(), indent=1) + "\n")


if __name__ == "__main__":
    main()
