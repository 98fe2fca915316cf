"""Fetch a model from a hub, on the machine that prepares packs. The appliance itself never does: nothing leaves the building.

Source of the protocol: huggingface_hub's own client (Apache-2.0); ``HF_ENDPOINT`` and ``HF_TOKEN`` work as everywhere with it.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import huggingface_hub
from huggingface_hub import errors as hub_errors
from huggingface_hub.errors import GatedRepoError, HFValidationError, RepositoryNotFoundError, RevisionNotFoundError

from appliance.operations.packs import contents
from appliance.operations.packs.errors import FETCH_GATED, FETCH_HUB, FETCH_NOT_FOUND, NO_ROOM, PICKLE

_COOKED: Final = frozenset({".bin", ".pt", ".pth", ".ckpt", ".pkl", ".h5", ".msgpack"})
"""Weights that a pack never takes: most are pickles."""
_CACHE: Final = ".cache"
_TROUBLE: Final[tuple[type[Exception], ...]] = (
    hub_errors.HfHubHTTPError,
    *hub_errors.HfHubHTTPError.__bases__,
    OSError,
)
"""Also what the hub client's own HTTP client raises when there is no answer at all."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """What was fetched: the hub's commit, the files and their bytes, and what was left there."""

    name: str
    commit: str
    files: tuple[str, ...]
    size: int
    left: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """What a fetch would bring; ``sizes`` in bytes."""

    name: str
    commit: str
    sizes: dict[str, int]
    left: tuple[str, ...]

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(self.sizes.values())


def plan(name: str, revision: str | None = None) -> Plan:
    """Ask the hub what model ``name`` (OWNER/MODEL) has. Blocks.

    Raises:
        ProntuarioError: ``pack.fetch_not_found``, ``pack.fetch_gated``, ``pack.fetch_hub``; ``pack.pickle``: it has no
            safetensors weights.
    """
    try:
        info = huggingface_hub.HfApi().model_info(name, revision=revision, files_metadata=True)
    except GatedRepoError as error:
        raise FETCH_GATED(name=name) from error
    except (RepositoryNotFoundError, RevisionNotFoundError, HFValidationError) as error:
        raise FETCH_NOT_FOUND(name=name) from error
    except _TROUBLE as error:
        raise FETCH_HUB(reason=type(error).__name__) from error
    there = {file.rfilename: file.size or 0 for file in info.siblings or ()}
    wanted = {path: size for path, size in there.items() if contents.belongs(path) and not path.startswith(".")}
    left = tuple(sorted(set(there) - set(wanted)))
    if not any(path.endswith((contents.WEIGHTS, *contents.NETWORKS)) for path in wanted):
        raise PICKLE(file=next((path for path in left if Path(path).suffix in _COOKED), name))
    return Plan(name, info.sha or "", wanted, left)


def fetch(planned: Plan, to: Path, on_bytes: Callable[[int], None]) -> Fetched:
    """Bring every file of ``planned`` to the folder ``to``; interrupted, it goes on where it stopped. Blocks.

    Raises:
        ProntuarioError: ``pack.no_room``, ``pack.fetch_gated``, ``pack.fetch_hub``.
    """
    to.mkdir(parents=True, exist_ok=True)
    there = sum((to / name).stat().st_size for name in planned.sizes if (to / name).is_file())
    free = shutil.disk_usage(to).free
    if planned.size - there > free:
        raise NO_ROOM(needed_bytes=planned.size - there, free_bytes=free)
    for path, size in sorted(planned.sizes.items()):
        if (to / path).is_file() and (to / path).stat().st_size == size:
            on_bytes(size)  # the hub's client gives a file its name once it is whole
            continue
        try:
            huggingface_hub.hf_hub_download(planned.name, path, revision=planned.commit, local_dir=to)
        except GatedRepoError as error:
            raise FETCH_GATED(name=planned.name) from error
        except _TROUBLE as error:
            raise FETCH_HUB(reason=f"{path}: {type(error).__name__}") from error
        on_bytes(size)
    shutil.rmtree(to / _CACHE, ignore_errors=True)  # the hub client's notes: no part of a model
    return Fetched(planned.name, planned.commit, tuple(sorted(planned.sizes)), planned.size, planned.left)
