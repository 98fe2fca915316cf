"""The plugin's table in ``prontuario.toml``: ``[plugins.gcp_sync]``."""

from __future__ import annotations

import msgspec


class CloudConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``bucket`` names a Cloud Storage bucket; ``credentials`` is a service account's key file, readable by us only.

    Without both the plugin offers nothing, and nothing ever leaves the building.
    """

    bucket: str | None = None
    credentials: str | None = None
