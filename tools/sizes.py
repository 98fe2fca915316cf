"""The size ratchet: no file or function of ours grows past its limit, and the halves stay halves.

Limits are DESIGN §2's: files ≤ 700 lines with a median ≤ 150; functions ≤ 60 lines with p90 ≤ 30; a broad ``except`` only
at the three boundaries, or where it tidies up and raises again. Lines of tests per line of code may only grow: the floor
below is raised when they do; the aim is 1. Exit 1 with every violation named.
"""

from __future__ import annotations

import ast
import statistics
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CODE = ("appliance", "plugins", "admin_ui")
FILE_LIMIT, FILE_MEDIAN, FUNCTION_LIMIT, FUNCTION_P90 = 700, 150, 60, 30
TESTS_PER_CODE_FLOOR = 0.75
BROAD_EXCEPT_ALLOWED = (
    "appliance/plugin_host/",
    "appliance/engines/",
    "appliance/api/",
    "appliance/telemetry/health.py",
)


def sources(*folders: str) -> Iterator[Path]:
    """Python files below the folders, in order."""
    for folder in folders:
        yield from sorted((ROOT / folder).rglob("*.py"))


def functions(path: Path) -> Iterator[tuple[str, int]]:
    """(place, lines) of every function of a file."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            yield f"{path.relative_to(ROOT)}:{node.lineno} {node.name}", lines


def broad_excepts(path: Path) -> Iterator[str]:
    """Places that catch everything outside the three boundaries."""
    name = str(path.relative_to(ROOT))
    if name.startswith(BROAD_EXCEPT_ALLOWED):
        return
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ExceptHandler):
            caught = ast.unparse(node.type) if node.type else "everything"
            if caught in {"everything", "Exception", "BaseException"} and not isinstance(node.body[-1], ast.Raise):
                yield f"{name}:{node.lineno}: catches {caught}; only plugin_host, engines and api may"


def lines(path: Path) -> int:
    """Lines of a file."""
    return len(path.read_text(encoding="utf-8").splitlines())


def violations() -> list[str]:
    """Every broken limit, as a sentence."""
    files = [path for path in sources(*CODE) if path.name != "__init__.py"]
    found = [
        f"{path.relative_to(ROOT)}: {lines(path)} lines > {FILE_LIMIT}" for path in files if lines(path) > FILE_LIMIT
    ]
    if (median := statistics.median(map(lines, files))) > FILE_MEDIAN:
        found.append(f"median file has {median} lines > {FILE_MEDIAN}")
    sizes = [entry for path in files for entry in functions(path)]
    found += [f"{place}: {count} lines > {FUNCTION_LIMIT}" for place, count in sizes if count > FUNCTION_LIMIT]
    p90 = sorted(count for _, count in sizes)[int(len(sizes) * 0.9)]
    if p90 > FUNCTION_P90:
        found.append(f"90 % of functions should have ≤ {FUNCTION_P90} lines; p90 is {p90}")
    code, tests = sum(map(lines, sources(*CODE))), sum(map(lines, sources("tests")))
    if tests < code * TESTS_PER_CODE_FLOOR:
        found.append(
            f"{tests} lines of tests for {code} lines of code; at least {TESTS_PER_CODE_FLOOR:g} per line are wanted"
        )
    found += [place for path in files for place in broad_excepts(path)]
    print(
        f"sizes: {len(files)} files, median {median:g} lines; {len(sizes)} functions, p90 {p90}; tests/code {tests}/{code}"
    )
    return found


def main() -> int:
    """Print the violations; 1 if there are any."""
    found = violations()
    for line in found:
        print(f"  {line}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
