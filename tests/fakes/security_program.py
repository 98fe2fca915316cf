#!/usr/bin/env python3
"""Stands in for macOS's ``security``: generic passwords in a JSON file named like the keychain.

Like the real one it takes ``-i`` with commands on standard input, prints a password with ``-w``, and ends with 44 when
there is no such item.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from pathlib import Path

NOT_FOUND = 44


def run(words: list[str]) -> int:
    parser = argparse.ArgumentParser()
    verbs = parser.add_subparsers(dest="verb", required=True)
    add = verbs.add_parser("add-generic-password")
    add.add_argument("-U", action="store_true")
    add.add_argument("-w", required=True)
    find = verbs.add_parser("find-generic-password")
    find.add_argument("-w", action="store_true")
    for verb in (add, find):
        verb.add_argument("-a", required=True)
        verb.add_argument("-s", required=True)
        verb.add_argument("keychain")
    given = parser.parse_args(words)
    file = Path(given.keychain)
    items = json.loads(file.read_text()) if file.exists() else {}
    item = f"{given.a}/{given.s}"
    if given.verb == "add-generic-password":
        items[item] = given.w
        file.write_text(json.dumps(items))
        return 0
    if item not in items:
        sys.stderr.write("The specified item could not be found in the keychain.\n")
        return NOT_FOUND
    sys.stdout.write(items[item] + "\n")
    return 0


def main() -> int:
    if sys.argv[1:] != ["-i"]:
        return run(sys.argv[1:])
    return max((run(shlex.split(line)) for line in sys.stdin if line.strip()), default=0)


if __name__ == "__main__":
    sys.exit(main())
