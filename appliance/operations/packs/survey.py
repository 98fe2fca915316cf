"""Which files a folder has, before any of them is opened: plain files only, and no pickle by name."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Final

from appliance.operations.packs.coreml_contents import holds_weights
from appliance.operations.packs.errors import PATH, PICKLE
from appliance.operations.packs.manifest import OWN_FILES, check_path

PICKLES: Final = frozenset({".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".joblib", ".npy", ".npz", ".dill"})
"""Names under which weights travel as pickles, or (NumPy) as archives that may hold some."""


def survey(folder: Path) -> dict[str, Path]:
    """Relative path with ``/`` → path, sorted, without the pack's own two files; hidden entries are left where they are.

    Raises:
        ProntuarioError: ``pack.path`` (a link, a device, a name that is not allowed) or ``pack.pickle`` (422).
    """
    found = {}
    for path in sorted(_walk(folder)):
        relative = path.relative_to(folder).as_posix()
        if relative in OWN_FILES:
            continue
        check_name(relative)
        found[relative] = path
    return found


def check_name(relative: str) -> None:
    """A pack may have a file of this path. Raises ``pack.path`` or ``pack.pickle`` (422)."""
    check_path(relative)
    if PurePosixPath(relative).suffix.lower() in PICKLES and not holds_weights(relative):
        raise PICKLE(file=relative)


def _walk(folder: Path) -> Iterator[Path]:
    with os.scandir(folder) as entries:
        for entry in entries:
            shown = entry.name
            if entry.is_symlink():
                raise PATH(file=shown, reason="symbolic link")
            if shown.startswith("."):
                continue
            if entry.is_dir(follow_symlinks=False):
                yield from _walk(Path(entry.path))
            elif entry.is_file(follow_symlinks=False):
                yield Path(entry.path)
            else:
                raise PATH(file=shown, reason="not a plain file")
