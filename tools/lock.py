"""Write requirements/*.lock: hashed, one for each platform and Python, without any registry's address.

Needs uv (`pip install uv`) and the network: ``python tools/lock.py [--upgrade]``. The files are installed with
``pip install --no-deps --require-hashes -r``: mlx-whisper names torch, which is left out on purpose (pyproject, tool.uv).
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PLATFORMS = {"linux": "x86_64-manylinux_2_35", "macos": "aarch64-apple-darwin"}
PYTHONS = ("3.11", "3.12", "3.13")
# Without it uv picks an mlx wheel made for an older macOS.
ENVIRONMENT = {"MACOSX_DEPLOYMENT_TARGET": "15.0"}


def main() -> None:
    """Compile every combination; extra arguments go to uv."""
    for system, platform in PLATFORMS.items():
        for python in PYTHONS:
            for suffix, extras in (("", ["build"]), ("-dev", ["build", "dev"])):
                target = ROOT / "requirements" / f"{system}-py{python.replace('.', '')}{suffix}.lock"
                print(target.name, flush=True)
                compile_lock(target, platform, python, extras)


def compile_lock(target: Path, platform: str, python: str, extras: list[str]) -> None:
    """Resolve pyproject.toml for one platform into ``target``."""
    command = [sys.executable, "-m", "uv", "pip", "compile", "pyproject.toml", "--quiet", "--generate-hashes"]
    command += [
        "--no-emit-index-url",
        "--no-emit-find-links",
        "--no-annotate",
        "--custom-compile-command",
        "python tools/lock.py",
    ]
    command += [
        "--python-version",
        python,
        "--python-platform",
        platform,
        "--output-file",
        str(target.relative_to(ROOT)),
    ]
    command += [part for extra in extras for part in ("--extra", extra)] + sys.argv[1:]
    subprocess.run(command, cwd=ROOT, check=True, env=os.environ | ENVIRONMENT)


if __name__ == "__main__":
    main()
