"""Fast linear algebra for an engine child on Linux.

The Linux wheel of MLX brings a slow reference BLAS; loading OpenBLAS before it makes fp32 work 10 to 100 times faster.
Apple silicon uses Accelerate and needs nothing.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

_PLACES: Final = ("openblas-pthread/libblas.so.3", "libopenblas.so.0", "openblas-pthread/libopenblas.so.0")
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
    return {"LD_PRELOAD": str(library), "OPENBLAS_NUM_THREADS": str(count)}
