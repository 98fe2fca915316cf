"""A tiny pool, spoken once for all tests of the speech model."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.demo_models.speech.pool import Pool, PoolPlan, make_shards, prepare_pool
from tools.demo_models.speech.vocabulary import Vocabulary, load_vocabulary

PLAN = PoolPlan(24, seed=11, per_shard=12)


@pytest.fixture(scope="session")
def pool_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pool")
    prepare_pool(folder, PLAN, consults=300)
    assert list(make_shards(folder, PLAN)) == [1, 2]
    return folder


@pytest.fixture(scope="session")
def pool(pool_folder: Path) -> Pool:
    return Pool(pool_folder, patience_s=0.0)


@pytest.fixture(scope="session")
def vocabulary(pool_folder: Path) -> Vocabulary:
    return load_vocabulary(pool_folder / "vocabulary.json")
