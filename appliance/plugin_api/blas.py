"""Fast linear algebra for MLX on Linux: in an engine child, or in this process.

The Linux wheel of MLX brings a slow reference BLAS; loading OpenBLAS before it makes fp32 work 10 to 100 times faster.
Apple silicon uses Accelerate and needs nothing.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

_PLACES: Final = ("openblas-pthread/libblas.so.3", "libopenblas.so.0", "openblas-pthread/libopenblas.so.0")
_THREADS: Final = "OPENBLAS_NUM_THREADS"
_MOST_THREADS: Final = 8
"""More threads than this only wait for each other on the small matrices of batch decoding."""


def find_openblas(roots: Sequence[Path] = (Path("/usr/lib"), Path("/usr/lib64"))) -> Path | None:
    """The OpenBLAS library of this Linux machine, or None (not Linux, or not installed)."""
    if sys.platform != "linux":
        return None
    for root in roots:
        for place in _PLACES:
            for found in sorted([*root.glob(place), *root.glob(f"*/{place}")]):
                return found
    return None


def openblas_environment(threads: int | None = None, library: Path | None = None) -> dict[str, str]:
    """What to put into ``EngineSpec.environment``; empty where there is nothing to gain.

    ``threads`` defaults to the processor's count, at most eight; ``library`` to ``find_openblas()``.
    """
    library = library or find_openblas()
    if library is None:
        return {}
    count = threads or min(os.cpu_count() or 1, _MOST_THREADS)
    return {"LD_PRELOAD": str(library), _THREADS: str(count)}


def load_openblas(threads: int = 1, library: Path | None = None) -> bool:
    """Let this very process compute with OpenBLAS; whether it does. Call it before the first import of MLX.

    A library that is loaded globally answers before the one that MLX brings. Evaluations and tests that run an engine in
    their own process use it; a child is told by its environment instead.
    """
    library = library or find_openblas()
    if library is None or "mlx.core" in sys.modules:
        return False
    before = os.environ.get(_THREADS)
    os.environ[_THREADS] = str(threads)  # read while the library is being loaded, never again
    try:
        ctypes.CDLL(str(library), mode=ctypes.RTLD_GLOBAL)
    except OSError:
        return False
    finally:
        if before is None:
            del os.environ[_THREADS]
        else:
            os.environ[_THREADS] = before
    return True
