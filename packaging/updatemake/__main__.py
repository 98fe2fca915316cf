"""``python -m updatemake --package … --from … --key … --out …``: see packaging/README.md and docs/updates.md."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from flatpkg import PackageError
from pkgmake.errors import BuildError

from appliance.operations.packs.signing import read_private_key
from appliance.plugin_api.errors import ProntuarioError
from updatemake.make import Wanted, make


def main(argv: Sequence[str] | None = None) -> int:
    """Make a bundle; 0 when all went well, 1 with a sentence on stderr when not."""
    given = _parser().parse_args(argv)
    wanted = Wanted(
        package=given.package, from_version=given.from_version, made=given.made, notes_pt=given.notes_pt,
        notes_en=given.notes_en, tables=tuple(given.table), packs=tuple(given.pack),
    )  # fmt: skip
    try:
        manifest = make(wanted, read_private_key(given.key), given.out)
    except ProntuarioError as error:
        print(f"update-bundle: {error.sentence('en')} {error.next_step('en')}", file=sys.stderr)
        return 1
    except (BuildError, PackageError, OSError) as error:
        print(f"update-bundle: {error}", file=sys.stderr)
        return 1
    print(f"{given.out}: {manifest.version} from {manifest.from_version} on, {len(manifest.parts)} parts, signed")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="updatemake", description=__doc__)
    parser.add_argument("--package", type=Path, required=True, help="the .pkg")
    parser.add_argument("--from", dest="from_version", required=True, help="the oldest version that may take it")
    parser.add_argument(
        "--key", type=Path, required=True, help="PEM: the secret Ed25519 key (prontuario models keygen)"
    )
    parser.add_argument("--out", type=Path, required=True, help="a folder that does not exist yet")
    parser.add_argument("--made", default=datetime.now(UTC).date().isoformat(), help="the day, for people")
    parser.add_argument("--notes-pt", default="", help="what is new, one or two sentences")
    parser.add_argument("--notes-en", default="")
    parser.add_argument("--table", action="append", default=[], type=_table, metavar="PLUGIN/PATH=FILE")
    parser.add_argument("--pack", action="append", default=[], type=Path, metavar="FOLDER", help="a signed model pack")
    return parser


def _table(text: str) -> tuple[str, Path]:
    name, given, file = text.partition("=")
    if not given:
        raise argparse.ArgumentTypeError("say PLUGIN/PATH=FILE")
    return name, Path(file)


if __name__ == "__main__":
    sys.exit(main())
