"""What is wrong with a package, in one sentence."""

from __future__ import annotations


class PackageError(Exception):
    """A package can't be made, or what was read is not a sound package."""
