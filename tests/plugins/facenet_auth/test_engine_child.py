"""The plugin with a pack, its engine in a real child process: pictures in, faces out, for several people at once."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np

from appliance.plugin_api.capabilities import FaceDescription
from appliance.plugin_api.engine import CallOptions
from plugins.facenet_auth.config import FaceConfig
from plugins.facenet_auth.plugin import plugin
from tests.fakes.marked_faces import Head, draw, jpeg, write_pack
from tests.plugins.children import running


def _vector(described: FaceDescription) -> np.ndarray:
    return np.frombuffer(described.frames[0].embedding, "<f4")


async def test_faces_of_several_people_through_a_child(tmp_path: Path) -> None:
    folder = write_pack(tmp_path / "pack")
    async with running(plugin, FaceConfig(model=str(folder), threads=1), tmp_path) as (_, verifier):
        assert verifier.model().ready
        assert verifier.model_version().startswith("marked-heads-alignment-1@")
        heads = [Head(identity=identity, yaw=yaw) for identity in (1, 2) for yaw in (0.0, 18.0)]
        frames = [jpeg(draw(head)) for head in heads]
        seen = await asyncio.gather(
            *(verifier.describe([frame], CallOptions(user=f"user{number}")) for number, frame in enumerate(frames))
        )
        crowd = await verifier.describe([jpeg(draw()), frames[0]], CallOptions(user="user9"))
    frontal, turned, other, _ = (_vector(one) for one in seen)
    assert np.linalg.norm(frontal - turned) < 0.8 < np.linalg.norm(frontal - other)
    assert abs(seen[1].frames[0].faces[0].yaw - 18.0) < 4.0
    assert [frame.problem for frame in crowd.frames] == ["none", ""]
    assert np.abs(np.frombuffer(crowd.frames[1].embedding, "<f4") - frontal).max() < 1e-5
