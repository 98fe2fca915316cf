"""launchctl(1) as it behaves, on a launchd of its own that is a file beside this program.

As the real one does, ``bootout`` answers before the job is gone. How long a job leaves is counted in questions about it, not
in seconds: ``leaves_after`` in the state file. Meanwhile its label is taken: ``bootstrap`` fails with 37, then with 5, and
nothing is loaded by it. Every call is written down.
"""

import json
import sys
from pathlib import Path
from typing import Any

STATE = Path(__file__).with_suffix(".json")


def main(verb: str, *rest: str) -> int:
    state: dict[str, Any] = {"leaves_after": 2, "jobs": {}, "calls": [], "stuck": False}
    if STATE.exists():
        state |= json.loads(STATE.read_text())
    state["calls"].append([verb, *rest])
    try:
        return {"print": look, "bootout": bootout, "bootstrap": bootstrap}[verb](state, *rest)
    finally:
        STATE.write_text(json.dumps(state))


def look(state: dict[str, Any], target: str) -> int:
    label = target.partition("/")[2]
    if not present(state, label):
        return refuse(113, f'Could not find service "{label}" in domain for system')
    print(f"{target} = {{ state = {'running' if state['jobs'][label] is None else 'SIGTERMed'} }}")
    return 0


def bootout(state: dict[str, Any], target: str) -> int:
    label = target.partition("/")[2]
    if label not in state["jobs"]:
        return refuse(3, "Boot-out failed: 3: No such process")
    if state["jobs"][label] is not None:
        return refuse(36, "Boot-out failed: 36: Operation now in progress")
    state["jobs"][label] = state["leaves_after"]
    return 0


def bootstrap(state: dict[str, Any], domain: str, plist: str) -> int:
    # plistlib takes longer to import than everything else here; we only need one string.
    _, key, rest = Path(plist).read_text(encoding="utf-8").partition("<key>Label</key>")
    if not key:
        return refuse(5, "Bootstrap failed: 5: Input/output error")
    label = rest.partition("<string>")[2].partition("</string>")[0]
    leaving = state["jobs"].get(label)
    if present(state, label):
        in_progress = leaving is not None and leaving == state["leaves_after"]
        what = (37, "Operation already in progress") if in_progress else (5, "Input/output error")
        return refuse(what[0], f"Bootstrap failed: {what[0]}: {what[1]}")
    state["jobs"][label] = None
    return 0


def present(state: dict[str, Any], label: str) -> bool:
    """Whether the label is taken; a leaving job comes one question nearer to its end."""
    if label not in state["jobs"]:
        return False
    left = state["jobs"][label]
    if left is None or state["stuck"]:
        return True
    if left == 0:
        del state["jobs"][label]
        return False
    state["jobs"][label] = left - 1
    return True


def refuse(status: int, sentence: str) -> int:
    print(sentence, file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
