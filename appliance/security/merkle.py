"""The Merkle tree of RFC 6962 §2.1, as pure functions over a way to fetch nodes.

Nodes are named (level, index): level 0 are leaves, (l, i) covers leaves i·2^l up to (i+1)·2^l. Only perfect subtrees have
a name; they never change once written, so appending touches O(log n) of them and a proof reads O(log n).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence

NodeAt = Callable[[int, int], bytes]
"""Fetches the hash of the perfect subtree (level, index)."""


def leaf_hash(data: bytes) -> bytes:
    """RFC 6962 §2.1: SHA-256(0x00 ‖ data)."""
    return hashlib.sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """RFC 6962 §2.1: SHA-256(0x01 ‖ left ‖ right)."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def completed_by(index: int, leaf: bytes, node_at: NodeAt) -> list[tuple[int, int, bytes]]:
    """The inner nodes (level, index, hash) that become complete when leaf ``index`` is appended."""
    completed: list[tuple[int, int, bytes]] = []
    level, position, current = 0, index, leaf
    while position & 1:
        current = node_hash(node_at(level, position - 1), current)
        level, position = level + 1, position >> 1
        completed.append((level, position, current))
    return completed


def subtree_root(start: int, end: int, node_at: NodeAt) -> bytes:
    """The hash over leaves [start, end), where ``start`` is a multiple of the largest power of two below the width."""
    width = end - start
    if width == 0:
        return hashlib.sha256(b"").digest()
    if width & (width - 1) == 0:
        level = width.bit_length() - 1
        return node_at(level, start >> level)
    split = start + (1 << ((width - 1).bit_length() - 1))
    return node_hash(subtree_root(start, split, node_at), subtree_root(split, end, node_at))


def inclusion_proof(index: int, size: int, node_at: NodeAt) -> list[bytes]:
    """RFC 6962 §2.1.1: the audit path of leaf ``index`` in the tree of ``size`` leaves."""
    if not 0 <= index < size:
        raise ValueError("the leaf is not in the tree")
    path: list[bytes] = []
    start, end = 0, size
    while end - start > 1:
        split = start + (1 << ((end - start - 1).bit_length() - 1))
        if index < split:
            path.append(subtree_root(split, end, node_at))
            end = split
        else:
            path.append(subtree_root(start, split, node_at))
            start = split
    return path[::-1]


def consistency_proof(old: int, new: int, node_at: NodeAt) -> list[bytes]:
    """RFC 6962 §2.1.2: that the tree of ``new`` leaves begins with the tree of ``old`` leaves."""
    if not 0 < old <= new:
        raise ValueError("the old size is not within the new one")
    path: list[bytes] = []
    start, end, whole = 0, new, True
    while old != end:
        split = start + (1 << ((end - start - 1).bit_length() - 1))
        if old <= split:
            path.append(subtree_root(split, end, node_at))
            end = split
        else:
            path.append(subtree_root(start, split, node_at))
            start, whole = split, False
    if not whole:
        path.append(subtree_root(start, end, node_at))
    return path[::-1]


def verify_inclusion(index: int, size: int, leaf: bytes, proof: Sequence[bytes], root: bytes) -> bool:
    """RFC 9162 §2.1.3.2."""
    if not 0 <= index < size:
        return False
    position, last, current = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            return False
        if position & 1 or position == last:
            current = node_hash(sibling, current)
            while position and not position & 1:
                position, last = position >> 1, last >> 1
        else:
            current = node_hash(current, sibling)
        position, last = position >> 1, last >> 1
    return last == 0 and current == root


def verify_consistency(old: int, new: int, proof: Sequence[bytes], old_root: bytes, new_root: bytes) -> bool:
    """RFC 9162 §2.1.4.2."""
    if old == new:
        return not proof and old_root == new_root
    if not 0 < old < new:
        return False
    path = [old_root, *proof] if old & (old - 1) == 0 else list(proof)
    if not path:
        return False
    position, last = old - 1, new - 1
    while position & 1:
        position, last = position >> 1, last >> 1
    first = second = path[0]
    for sibling in path[1:]:
        if last == 0:
            return False
        if position & 1 or position == last:
            first, second = node_hash(sibling, first), node_hash(sibling, second)
            while position and not position & 1:
                position, last = position >> 1, last >> 1
        else:
            second = node_hash(second, sibling)
        position, last = position >> 1, last >> 1
    return last == 0 and first == old_root and second == new_root


class Frontier:
    """The peaks of a growing tree: all that is needed to recompute its root while reading leaves once."""

    def __init__(self) -> None:
        self.size = 0
        self._peaks: list[bytes] = []

    def add(self, leaf: bytes) -> list[tuple[int, int, bytes]]:
        """Append a leaf; the inner nodes (level, index, hash) that it completed."""
        completed: list[tuple[int, int, bytes]] = []
        level, position, current = 0, self.size, leaf
        while position & 1:
            current = node_hash(self._peaks.pop(), current)
            level, position = level + 1, position >> 1
            completed.append((level, position, current))
        self._peaks.append(current)
        self.size += 1
        return completed

    def extend(self, leaves: Iterable[bytes]) -> None:
        """Append many leaves."""
        for leaf in leaves:
            self.add(leaf)

    def root(self) -> bytes:
        """The Merkle tree hash of everything so far."""
        if not self._peaks:
            return hashlib.sha256(b"").digest()
        root = self._peaks[-1]
        for peak in reversed(self._peaks[:-1]):
            root = node_hash(peak, root)
        return root
