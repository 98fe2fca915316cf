"""``python -m tools.demo_models VERB``: everything that makes and measures the demonstration models."""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import sys

_PACKAGES = ("speech", "notes", "evaluation")


def main() -> int:
    """Run one verb; its exit status."""
    parser = argparse.ArgumentParser(prog="python -m tools.demo_models", description=__doc__)
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    for package in _PACKAGES:
        name = f"tools.demo_models.{package}.commands"
        if importlib.util.find_spec(name) is not None:
            importlib.import_module(name).register(verbs)
    asked = parser.parse_args()
    return int(asked.run(asked) or 0)


if __name__ == "__main__":
    sys.exit(main())
