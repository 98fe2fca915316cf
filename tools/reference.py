"""Write the pages of docs/ that say the code, and Prometheus' and Grafana's files; ``--check`` only compares (a test runs it).

``python tools/reference.py`` after a setting, an error, a route, a metric or an alert changed.
"""

from __future__ import annotations

import ast
import asyncio
import importlib
import pkgutil
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin

import msgspec

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import appliance  # noqa: E402  the tree itself, not an installed copy
import plugins  # noqa: E402
from appliance.config.model import Config, Paths, Store  # noqa: E402
from appliance.operations.doctor.page import checks_page  # noqa: E402
from appliance.operations.watching.dashboard import dashboard_json  # noqa: E402
from appliance.operations.watching.rendering import alerts_page, alerts_yaml  # noqa: E402
from appliance.plugin_api.errors import catalogue  # noqa: E402
from appliance.plugin_api.http import AnyRoute, Route, WebSocketRoute  # noqa: E402
from tools.metric_names import page  # noqa: E402

GENERATED = "<!-- Written by tools/reference.py; change the code, not this page. -->\n"


def attribute_notes(source: Path) -> dict[tuple[str, str], str]:
    """(class, attribute) → the string that stands below the attribute."""
    notes = {}
    for node in ast.parse(source.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef):
            for line, after in zip(node.body, node.body[1:], strict=False):
                if (
                    isinstance(line, ast.AnnAssign)
                    and isinstance(after, ast.Expr)
                    and isinstance(after.value, ast.Constant)
                ):
                    notes[node.name, ast.unparse(line.target)] = " ".join(str(after.value.value).split())
    return notes


def settings() -> str:
    """Every key of prontuario.toml with its type and default."""
    notes = attribute_notes(ROOT / "appliance" / "config" / "model.py")
    lines = [
        "# Settings",
        GENERATED,
        "`prontuario.toml` in the node's home. Every key is optional; an unknown one stops the start and names the nearest.",
        "",
    ]
    for section in msgspec.structs.fields(Config):
        shape = section.type
        if not (isinstance(shape, type) and issubclass(shape, msgspec.Struct)):
            lines += [f"## `{section.name}`", "", f"{_type(shape)}, default `{_default(section)}`.", ""]
            continue
        lines += [
            f"## `[{section.name}]`",
            "",
            " ".join((shape.__doc__ or "").split()),
            "",
            "| key | type | default | |",
            "|---|---|---|---|",
        ]
        for field in msgspec.structs.fields(shape):
            note = notes.get((shape.__name__, field.name), "")
            lines.append(f"| `{field.name}` | {_type(field.type)} | `{_default(field)}` | {note} |")
        lines.append("")
    return "\n".join(lines)


def errors() -> str:
    """Every stable error code, in both languages."""
    for module in (*modules(appliance), *outside_children(modules(plugins))):
        importlib.import_module(module)
    lines = [
        "# Error codes",
        GENERATED,
        "`code` in problem+json; codes never change their meaning.",
        "",
        "| code | status | pt | en |",
        "|---|---|---|---|",
    ]
    for code, kind in sorted(catalogue().items()):
        lines.append(f"| `{code}` | {kind.status} | {kind.pt[0]} *{kind.pt[1]}* | {kind.en[0]} *{kind.en[1]}* |")
    return "\n".join([*lines, ""])


def api() -> str:
    """Every route with its permission."""
    lines = ["# Routes", GENERATED, "The machine-readable form is `/openapi.json`; `/docs` shows it in a browser.", ""]
    lines += ["| | path | permission | |", "|---|---|---|---|"]
    for route in sorted(
        asyncio.run(every_route()), key=lambda one: (getattr(one, "path", ""), getattr(one, "method", ""))
    ):
        if isinstance(route, Route | WebSocketRoute):
            method = route.method if isinstance(route, Route) else "WS"
            lines.append(f"| {method} | `{route.path}` | `{route.permission}` | {route.summary} |")
    return "\n".join([*lines, ""])


async def every_route() -> Sequence[AnyRoute]:
    """The routes of a whole node, assembled in a scratch home and never started."""
    from appliance.daemon.assembly import assemble

    with tempfile.TemporaryDirectory() as scratch:
        async with AsyncExitStack() as stack:
            core = await assemble(stack, Paths(Path(scratch)), Config(store=Store(litestream=False)))
            return core.application.routes


def modules(package: Any) -> Iterator[str]:
    """Names of a package's modules, except entry points."""
    for info in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        if not info.name.endswith(("__main__", ".leash", "audio_child")):
            yield info.name


def outside_children(names: Iterable[str]) -> Iterator[str]:
    """Those that core may import: what begins with ``engine`` belongs to a child and brings a model library along."""
    return (name for name in names if not any(part.startswith("engine") for part in name.split(".")))


def _type(shape: Any) -> str:
    if get_origin(shape) is Annotated:  # limits are the decoder's affair
        shape = get_args(shape)[0]
    text = shape.__name__ if isinstance(shape, type) else str(shape).replace("typing.", "")
    return text.replace("|", "\\|")


def _default(field: msgspec.structs.FieldInfo) -> Any:
    value = (
        field.default_factory()
        if field.default is msgspec.NODEFAULT and callable(field.default_factory)
        else field.default
    )
    return f'"{value}"' if isinstance(value, str) else value


def alerts() -> str:
    """docs/alerts.md."""
    return _below("alerts.md", "<!-- rules -->\n", alerts_page())


def doctor() -> str:
    """docs/doctor.md."""
    return _below("doctor.md", "<!-- checks -->\n", checks_page())


def _below(name: str, mark: str, table: str) -> str:
    """What stands before the mark is written by hand, the table is not."""
    written = (ROOT / "docs" / name).read_text(encoding="utf-8").partition(mark)[0]
    return f"{written}{mark}{table}"


WATCHING = "../appliance/operations/watching/"
PAGES = {
    "settings.md": settings,
    "errors.md": errors,
    "api.md": api,
    "metrics.md": page,
    "alerts.md": alerts,
    "doctor.md": doctor,
    WATCHING + "alerts.yaml": alerts_yaml,
    WATCHING + "dashboard.json": dashboard_json,
}


def main() -> int:
    """Write, or with --check compare; 1 when a page is out of date."""
    stale = []
    for name, make in PAGES.items():
        path, text = ROOT / "docs" / name, make()
        if "--check" in sys.argv:
            if not path.exists() or path.read_text(encoding="utf-8") != text:
                stale.append(name)
        else:
            path.write_text(text, encoding="utf-8")
    if stale:
        print(f"out of date: {', '.join(stale)}; run python tools/reference.py")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
