"""What both nodes of a pair must have in common, so that a phone, a token and a sealed key are good on either.

The authorities (clients pin the root, devices chain to it), the master key under which every data key is wrapped, the key
that signs audit heads, and the dashboard's device. Each node has its own server certificate under the common root.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec

from appliance.config import Config, Paths
from appliance.plugin_api.errors import define
from appliance.security import files
from appliance.security.master_key import read_wrapped, save_master_key, unwrap
from appliance.security.protectors import protector_for, protector_kind

COMMON_FILES: Final = (
    "root.key", "root.pem", "device-ca.key", "device-ca.pem", "node-ca.key", "node-ca.pem",
    "audit.key", "dashboard.key", "dashboard.pem",
)  # fmt: skip
"""In the secrets folder; keys before the certificates over them, so that an interrupted copy is completed at the next."""

ALREADY_A_NODE = define(
    "cluster.has_record",
    409,
    pt=("{home} já tem um prontuário próprio.", "Use uma pasta nova: o segundo nó recebe o prontuário do primeiro."),
    en=(
        "{home} has a record of its own already.",
        "Use a new folder: the second node receives the first one's record.",
    ),
)
INCOMPLETE = define(
    "cluster.incomplete",
    409,
    pt=("Faltam segredos neste nó: {missing}.", "Rode prontuario init e prontuario cluster init neste nó primeiro."),
    en=("This node lacks secrets: {missing}.", "Run prontuario init and prontuario cluster init on it first."),
)


class SharedSecrets(msgspec.Struct, frozen=True):
    """The contents of ``COMMON_FILES`` by name, and the master key (32 bytes). Never written down as a whole."""

    files: dict[str, bytes]
    master_key: bytes

    def __repr__(self) -> str:
        """Names only: a traceback must not carry keys."""
        return f"SharedSecrets({', '.join(sorted(self.files))})"


def collect(paths: Paths, config: Config) -> SharedSecrets:
    """This node's, for its peer.

    Raises:
        ProntuarioError: ``cluster.incomplete`` 409; ``vault.locked`` 503 when the master key can't be unwrapped here.
    """
    found = {name: (paths.secrets / name).read_bytes() for name in COMMON_FILES if (paths.secrets / name).exists()}
    kept = read_wrapped(paths)
    missing = sorted(set(COMMON_FILES) - set(found)) + ([] if kept is not None else ["master key"])
    if missing or kept is None:
        raise INCOMPLETE(missing=", ".join(missing))
    return SharedSecrets(found, unwrap(kept, protector_for(kept.protector, config, paths)))


def adopt(paths: Paths, config: Config, shared: SharedSecrets) -> None:
    """Make them this node's own: the master key is wrapped by this machine's protector. Safe to repeat.

    Raises:
        ProntuarioError: ``cluster.has_record`` 409 when this home has written a record under other keys.
    """
    refuse_other_record(paths, shared)
    files.make_private_folder(paths.secrets)
    with files.exclusive(paths.secrets):
        for name in COMMON_FILES:
            _write_if_other(paths.secrets / name, shared.files[name])
        save_master_key(paths, protector_for(protector_kind(config), config, paths), shared.master_key)


def refuse_other_record(paths: Paths, shared: SharedSecrets | None = None) -> None:
    """Raises ``cluster.has_record`` unless this home is new or was joined to the same pair before."""
    root = paths.secrets / "root.key"
    same = shared is not None and root.exists() and root.read_bytes() == shared.files["root.key"]
    if paths.database.exists() and not same:
        raise ALREADY_A_NODE(home=str(paths.home))


def _write_if_other(path: Path, content: bytes) -> None:
    if not path.exists() or path.read_bytes() != content:
        files.write_file(path, content)
