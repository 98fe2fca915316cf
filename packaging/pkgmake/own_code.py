"""Our own code as an installed distribution: the files that the wheel would carry, with the metadata that entry points need."""

from __future__ import annotations

import fnmatch
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from pkgmake.wheels import write_record

_NAME: Final = "prontuario"
_CODE: Final = "*.py"


def lay_down(repository: Path, target: Path, version: str) -> None:
    """Copy our packages into site-packages ``target`` as version ``version``.

    What git does not track is not ours yet and stays out; without git (an unpacked source archive) everything counts.
    """
    project = _project(repository)
    placed = []
    for path in _files(repository, project):
        place = target / path
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(repository / path, place)
        place.chmod(0o644)
        placed.append(path)
    info = f"{_NAME}-{version}.dist-info"
    (target / info).mkdir()
    for name, text in _metadata(project["project"], version).items():
        (target / info / name).write_text(text, encoding="utf-8")
        placed.append(f"{info}/{name}")
    write_record(target, info, placed)


def unrecorded(repository: Path) -> list[str]:
    """Our files that differ from what git has recorded: a package made of them can't be made again from a commit."""
    if not (repository / ".git").exists():
        return []
    words = ["git", "-C", str(repository), "diff", "--name-only", "-z", "HEAD", "--", *_tops(_project(repository))]
    ran = subprocess.run(words, check=True, capture_output=True, text=True)
    return [path for path in ran.stdout.split("\0") if path]


def _project(repository: Path) -> dict[str, Any]:
    return tomllib.loads((repository / "pyproject.toml").read_text(encoding="utf-8"))


def _tops(project: dict[str, Any]) -> list[str]:
    return [pattern.rstrip("*") for pattern in project["tool"]["setuptools"]["packages"]["find"]["include"]]


def _files(repository: Path, project: dict[str, Any]) -> Iterator[str]:
    patterns = [_CODE, *project["tool"]["setuptools"]["package-data"]["*"]]
    for path in sorted(_listed(repository, _tops(project))):
        name = path.rpartition("/")[2]
        if any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns):
            yield path


def _listed(repository: Path, tops: list[str]) -> list[str]:
    if (repository / ".git").exists():
        ran = subprocess.run(
            ["git", "-C", str(repository), "ls-files", "-z", "--", *tops], check=True, capture_output=True, text=True
        )
        return [path for path in ran.stdout.split("\0") if path and (repository / path).is_file()]
    found = (path for top in tops for path in (repository / top).rglob("*") if path.is_file())
    return [str(path.relative_to(repository)) for path in found if "__pycache__" not in path.parts]


def _metadata(project: dict[str, Any], version: str) -> dict[str, str]:
    requires = "".join(f"Requires-Dist: {one}\n" for one in project["dependencies"])
    entry_points = "[console_scripts]\n" + "".join(f"{k} = {v}\n" for k, v in sorted(project["scripts"].items()))
    for group, points in sorted(project.get("entry-points", {}).items()):
        entry_points += f"\n[{group}]\n" + "".join(f"{k} = {v}\n" for k, v in sorted(points.items()))
    return {
        "METADATA": f"Metadata-Version: 2.1\nName: {_NAME}\nVersion: {version}\n"
        f"Summary: {project['description']}\nRequires-Python: {project['requires-python']}\n{requires}",
        "WHEEL": "Wheel-Version: 1.0\nGenerator: pkgmake\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        "entry_points.txt": entry_points,
    }
