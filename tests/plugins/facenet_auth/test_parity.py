"""The embedder's ONNX file gives what the PyTorch reference gives; whoever feeds it wrongly is noticed."""

from __future__ import annotations

import numpy as np
import pytest

from plugins.facenet_auth.engine_model import OnnxEmbedder
from tests.plugins.facenet_auth import reference

WRONG_BY = 50 * reference.TOLERANCE
"""What a mistake must cost at least, so that the tolerance can't hide one."""


@pytest.fixture(scope="module")
def embedder() -> OnnxEmbedder:
    return OnnxEmbedder(reference.embedder())


def distances(found: reference.Array) -> reference.Array:
    expected = reference.golden()["embeddings"][: len(found)]
    return np.asarray(np.linalg.norm(found - expected, axis=1))


def test_embeddings_equal_the_reference(embedder: OnnxEmbedder) -> None:
    found = embedder.embed(reference.standardised(reference.faces()))
    assert np.abs(found - reference.golden()["embeddings"]).max() < reference.TOLERANCE
    assert distances(found).max() < reference.TOLERANCE
    assert np.abs(np.linalg.norm(found, axis=1) - 1.0).max() < 1e-5


def test_the_calibrated_network_tells_faces_apart() -> None:
    """With uncalibrated normalisation every picture looks alike, and the parity above would mean little."""
    known = reference.golden()["embeddings"]
    apart = np.linalg.norm(known[:, None] - known[None], axis=-1)[np.triu_indices(len(known), 1)]
    assert apart.min() > 0.5


def test_swapped_colours_are_not_the_reference(embedder: OnnxEmbedder) -> None:
    swapped = reference.faces(1)[..., ::-1]
    assert distances(embedder.embed(reference.standardised(swapped))).min() > WRONG_BY


def test_shuffled_pixels_are_not_the_reference(embedder: OnnxEmbedder) -> None:
    face = reference.faces(1)
    order = np.random.default_rng(3).permutation(face.shape[1] * face.shape[2])
    shuffled = face.reshape(1, -1, 3)[:, order].reshape(face.shape)
    assert distances(embedder.embed(reference.standardised(shuffled))).min() > WRONG_BY


def test_another_scale_of_pixels_is_not_the_reference(embedder: OnnxEmbedder) -> None:
    face = reference.faces(1).astype(np.float32).transpose(0, 3, 1, 2)
    assert distances(embedder.embed(np.ascontiguousarray(face / 255.0))).min() > WRONG_BY


def test_a_mirrored_face_is_not_the_reference(embedder: OnnxEmbedder) -> None:
    assert distances(embedder.embed(reference.standardised(reference.faces(1)[:, :, ::-1]))).min() > WRONG_BY


def test_faces_of_a_batch_do_not_touch_each_other(embedder: OnnxEmbedder) -> None:
    together = embedder.embed(reference.standardised(reference.faces(2)[::-1]))
    alone = embedder.embed(reference.standardised(reference.faces(1)))
    assert np.abs(together[1] - alone[0]).max() < 1e-5
