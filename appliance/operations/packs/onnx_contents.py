"""Whether an ``.onnx`` file is a plain network: standard operators, its weights inside it, and nothing that runs other code.

Source: ``onnx.proto3`` (https://github.com/onnx/onnx). What the format allows beyond that (weights in other files by path, operators
of foreign libraries, functions, training) is refused here, before onnxruntime sees the file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from appliance.operations.packs.errors import FORMAT
from appliance.operations.packs.protobuf import ProtobufError, fields, message, text, view

SUFFIX: Final = ".onnx"
_STANDARD: Final = frozenset({"", "ai.onnx"})
_DEEPEST: Final = 16
_EXTERNAL: Final = 1

_MODEL: Final = frozenset({1, 2, 3, 4, 5, 6, 7, 8, 14})
_GRAPH_OF_MODEL: Final = 7
_OPSET_OF_MODEL: Final = 8
_GRAPH: Final = frozenset({1, 2, 5, 10, 11, 12, 13, 14, 15, 16})
_NODE: Final = frozenset({1, 2, 3, 4, 5, 6, 7, 9})
_ATTRIBUTE: Final = frozenset({1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 14, 15, 20, 22, 23})
_TENSOR: Final = frozenset({1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 16})
_SPARSE: Final = frozenset({1, 2, 3})
_OPSET: Final = frozenset({1, 2})


class _NotAllowedError(ValueError):
    """The file holds what a pack must not hold."""


Part = tuple[Callable[[memoryview], "Iterator[Part]"], memoryview]
"""What to look at next, and how."""


def check_onnx(path: Path, relative: str) -> None:
    """Raises ``pack.format`` (422). Blocks; reads the file's structure, not its weights."""
    try:
        _walk((_model, view(path)))
    except (ProtobufError, _NotAllowedError) as error:
        raise FORMAT(file=relative, reason=f"ONNX: {error}") from error


def _walk(start: Part) -> None:
    waiting = [(0, start)]
    while waiting:
        depth, (look, content) = waiting.pop()
        if depth > _DEEPEST:
            raise _NotAllowedError("networks within networks")
        waiting.extend((depth + 1, part) for part in look(content))


def _known(content: memoryview, numbers: frozenset[int], what: str) -> Iterator[tuple[int, int | memoryview]]:
    for number, value in fields(content):
        if number not in numbers:
            raise _NotAllowedError(f"{what} has a part (number {number}) that is not allowed")
        yield number, value


def _model(content: memoryview) -> Iterator[Part]:
    parts = list(_known(content, _MODEL, "the model"))
    graphs = [value for number, value in parts if number == _GRAPH_OF_MODEL]
    if len(graphs) != 1:
        raise _NotAllowedError("no single network in it")
    yield from ((_opset, message(value)) for number, value in parts if number == _OPSET_OF_MODEL)
    yield _graph, message(graphs[0])


def _opset(content: memoryview) -> Iterator[Part]:
    for number, value in _known(content, _OPSET, "an operator set"):
        if number == 1 and text(value) not in _STANDARD:
            raise _NotAllowedError(f"foreign operators ({text(value)})")
    yield from ()


def _graph(content: memoryview) -> Iterator[Part]:
    kinds = {1: _node, 5: _tensor, 15: _sparse}
    for number, value in _known(content, _GRAPH, "the network"):
        if number in kinds:
            yield kinds[number], message(value)


def _node(content: memoryview) -> Iterator[Part]:
    for number, value in _known(content, _NODE, "an operator"):
        if number == 7 and text(value) not in _STANDARD:  # noqa: PLR2004 - NodeProto.domain
            raise _NotAllowedError(f"foreign operator ({text(value)})")
        if number == 5:  # noqa: PLR2004 - NodeProto.attribute
            yield _attribute, message(value)


def _attribute(content: memoryview) -> Iterator[Part]:
    kinds = {5: _tensor, 6: _graph, 10: _tensor, 11: _graph, 22: _sparse, 23: _sparse}
    for number, value in _known(content, _ATTRIBUTE, "an attribute"):
        if number in kinds:
            yield kinds[number], message(value)


def _tensor(content: memoryview) -> Iterator[Part]:
    for number, value in _known(content, _TENSOR, "a weight"):
        if number == 13 or (number, value) == (14, _EXTERNAL):  # noqa: PLR2004 - external_data, data_location
            raise _NotAllowedError("weights in another file")
    yield from ()


def _sparse(content: memoryview) -> Iterator[Part]:
    for number, value in _known(content, _SPARSE, "a sparse weight"):
        if number != 3:  # noqa: PLR2004 - its sides
            yield _tensor, message(value)
