from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from appliance.plugin_api.blas import find_openblas, load_openblas, openblas_environment

linux = pytest.mark.skipif(sys.platform != "linux", reason="only the Linux wheel of MLX needs it")


@linux
@pytest.mark.parametrize(
    "place", ["x86_64-linux-gnu/openblas-pthread/libblas.so.3", "aarch64-linux-gnu/libopenblas.so.0"]
)
def test_the_library_is_found_where_distributions_put_it(tmp_path: Path, place: str) -> None:
    library = tmp_path / place
    library.parent.mkdir(parents=True)
    library.touch()
    assert find_openblas([tmp_path]) == library


@linux
def test_the_threaded_build_is_preferred(tmp_path: Path) -> None:
    for place in ("x/libopenblas.so.0", "x/openblas-pthread/libblas.so.3"):
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / place).touch()
    found = find_openblas([tmp_path])
    assert found is not None
    assert found.name == "libblas.so.3"


def test_nothing_is_asked_for_where_there_is_no_library(tmp_path: Path) -> None:
    assert find_openblas([tmp_path]) is None


def test_threads_are_bounded(tmp_path: Path) -> None:
    environment = openblas_environment(library=tmp_path / "libblas.so.3")
    assert environment["LD_PRELOAD"] == str(tmp_path / "libblas.so.3")
    assert 1 <= int(environment["OPENBLAS_NUM_THREADS"]) <= min(8, os.cpu_count() or 1)
    assert openblas_environment(3, tmp_path / "x")["OPENBLAS_NUM_THREADS"] == "3"


@linux
@pytest.mark.skipif(find_openblas() is None, reason="needs libopenblas0-pthread")
def test_a_process_takes_its_products_from_the_library_it_loaded_first() -> None:
    program = """
import os
from appliance.plugin_api.blas import find_openblas, load_openblas
assert load_openblas(), "not loaded"
assert "OPENBLAS_NUM_THREADS" not in os.environ
import mlx.core as mx
assert float((mx.ones((64, 64)) @ mx.ones((64, 64)))[0, 0]) == 64.0
used = open("/proc/self/maps").read()
assert str(find_openblas().resolve().parent) in used, used
assert not load_openblas(), "MLX is here already"
"""
    clean = {name: value for name, value in os.environ.items() if name != "OPENBLAS_NUM_THREADS"}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, env=clean)
    assert done.returncode == 0, done.stderr


def test_a_library_that_is_none_leaves_things_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "libblas.so.3").write_text("not a library")
    assert not load_openblas(library=tmp_path / "libblas.so.3")
