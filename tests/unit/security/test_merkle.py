from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.security.merkle import (
    Frontier,
    completed_by,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    node_hash,
    subtree_root,
    verify_consistency,
    verify_inclusion,
)

# The reference tree of the Certificate Transparency implementations (RFC 6962).
LEAVES = [b"", b"\x00", b"\x10", b" !", b"01", b"@ABC", b"PQRSTUVW", b"`abcdefghijklmno"]
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


class Tree:
    """Nodes kept in a dictionary, as the audit log keeps them in a table."""

    def __init__(self, leaves: list[bytes]) -> None:
        self.nodes: dict[tuple[int, int], bytes] = {}
        for index, data in enumerate(leaves):
            leaf = self.nodes[0, index] = leaf_hash(data)
            for level, position, value in completed_by(index, leaf, self.at):
                self.nodes[level, position] = value
        self.size = len(leaves)

    def at(self, level: int, position: int) -> bytes:
        return self.nodes[level, position]

    def root(self, size: int | None = None) -> bytes:
        return subtree_root(0, self.size if size is None else size, self.at)


def plain_root(leaves: list[bytes]) -> bytes:
    """RFC 6962 §2.1 word for word."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return leaf_hash(leaves[0])
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return node_hash(plain_root(leaves[:split]), plain_root(leaves[split:]))


@pytest.mark.parametrize("size", range(1, 9))
def test_reference_roots(size: int) -> None:
    frontier = Frontier()
    frontier.extend(leaf_hash(leaf) for leaf in LEAVES[:size])
    assert frontier.root().hex() == ROOTS[size - 1]
    assert Tree(LEAVES).root(size).hex() == ROOTS[size - 1]


def test_the_empty_tree() -> None:
    assert Frontier().root() == Tree([]).root() == plain_root([])


def test_known_audit_path() -> None:
    """The path of leaf 0 in the reference tree of 8 leaves."""
    assert [part.hex() for part in inclusion_proof(0, 8, Tree(LEAVES).at)] == [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ]


@given(st.integers(1, 70), st.data())
def test_every_leaf_can_be_proved_and_nothing_else(size: int, data: st.DataObject) -> None:
    leaves = [bytes([number]) for number in range(size)]
    tree = Tree(leaves)
    index = data.draw(st.integers(0, size - 1))
    proof = inclusion_proof(index, size, tree.at)
    assert tree.root() == plain_root(leaves)
    assert verify_inclusion(index, size, leaf_hash(leaves[index]), proof, tree.root())
    assert not verify_inclusion(index, size, leaf_hash(b"other"), proof, tree.root())
    assert not verify_inclusion(size, size, leaf_hash(leaves[index]), proof, tree.root())
    if proof:
        assert not verify_inclusion(index, size, leaf_hash(leaves[index]), proof[:-1], tree.root())
        assert not verify_inclusion(index, size, leaf_hash(leaves[index]), [*proof, proof[0]], tree.root())


@given(st.integers(1, 70), st.data())
def test_growth_can_be_proved_and_a_rewrite_can_not(size: int, data: st.DataObject) -> None:
    leaves = [bytes([number]) for number in range(size)]
    old = data.draw(st.integers(1, size))
    tree, rewritten = Tree(leaves), Tree([b"changed", *leaves[1:]])
    proof = consistency_proof(old, size, tree.at)
    assert verify_consistency(old, size, proof, tree.root(old), tree.root())
    forged = consistency_proof(old, size, rewritten.at)
    assert not verify_consistency(old, size, forged, tree.root(old), rewritten.root())


@pytest.mark.parametrize(("index", "size"), [(3, 3), (-1, 3), (0, 0)])
def test_a_leaf_outside_the_tree_has_no_proof(index: int, size: int) -> None:
    with pytest.raises(ValueError, match="not in the tree"):
        inclusion_proof(index, size, Tree(LEAVES).at)


def test_an_empty_old_tree_proves_nothing() -> None:
    with pytest.raises(ValueError, match="old size"):
        consistency_proof(0, 3, Tree(LEAVES).at)
    assert not verify_consistency(0, 3, [], b"", Tree(LEAVES).root(3))
    assert not verify_consistency(3, 5, [], b"", b"")
