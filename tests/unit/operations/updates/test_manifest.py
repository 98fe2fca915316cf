"""What a manifest may say, and who may have signed it."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from appliance.operations.packs.signing import sign as sign_pack
from appliance.operations.updates import manifest as manifests
from appliance.operations.updates.manifest import Part, SchemaStep, UpdateFile, decode, encode, order
from appliance.operations.updates.signing import sign, verify
from appliance.plugin_api.errors import ProntuarioError
from tests.fakes.updates import MAKER, NEW, OLD, STRANGER, manifest

DIGEST = "0" * 64
ONE = UpdateFile("a.pkg", 1, DIGEST)


def refused(code: str, content: bytes) -> ProntuarioError:
    with pytest.raises(ProntuarioError) as caught:
        decode(content)
    assert caught.value.kind.code == code
    return caught.value


def with_part(part: Part) -> Any:
    return manifest(parts=(*manifest().parts, part))


def test_a_good_one_comes_back_as_it_went() -> None:
    told = manifest()
    assert decode(encode(told)) == told
    assert told.package.path == f"prontuario-{NEW}.pkg"
    assert told.size == sum(file.size for part in told.parts for file in part.files)


@pytest.mark.parametrize("where", ["top", "part", "file", "schema"])
def test_an_unknown_field_is_refused(where: str) -> None:
    """Whoever understands only half of an update must not install it."""
    told = json.loads(encode(manifest()))
    target = {
        "top": told, "part": told["parts"][0], "file": told["parts"][0]["files"][0], "schema": told["schema"][0],
    }[where]  # fmt: skip
    target["after_install"] = "rm -rf /"
    assert "after_install" in str(refused("update.manifest", json.dumps(told).encode()))


@pytest.mark.parametrize(
    "changed",
    [
        {"format": 2},
        {"version": "1.1"},
        {"version": "1.1.0; reboot"},
        {"from_version": NEW},
        {"from_version": "2.0.0"},
        {"installed_bytes": 0},
        {"schema": ()},
        {"schema": (SchemaStep(2, 2, "b"), SchemaStep(1, 1, "a"))},
        {"schema": (SchemaStep(1, 1, "a"), SchemaStep(1, 1, "a"))},
        {"parts": ()},
    ],
)
def test_a_field_that_makes_no_sense(changed: dict[str, Any]) -> None:
    with pytest.raises(ProntuarioError) as caught:
        encode(manifest(**changed))
    assert caught.value.kind.code == "update.manifest"


@pytest.mark.parametrize(
    "part",
    [
        Part(kind="package", name=NEW, files=(UpdateFile("b.pkg", 1, DIGEST),)),
        Part(kind="table", name="noplugin", files=(UpdateFile("tables/noplugin", 1, DIGEST),)),
        Part(kind="table", name="a/b", files=()),
        Part(kind="table", name="a/b", files=(UpdateFile("t1", 1, DIGEST), UpdateFile("t2", 1, DIGEST))),
        Part(kind="pack", name="p-1", capability="chat", files=(UpdateFile("packs/q-1/x", 1, DIGEST),)),
        Part(kind="pack", name="../p", capability="chat", files=(UpdateFile("packs/../p/x", 1, DIGEST),)),
        Part(kind="table", name="a/b", files=(UpdateFile("t1", -1, DIGEST),)),
        Part(kind="table", name="a/b", files=(UpdateFile("t1", 1, "xyz"),)),
        Part(kind="table", name="a/b", files=(UpdateFile(f"PRONTUARIO-{NEW}.pkg", 1, DIGEST),)),
        Part(kind="table", name="a/b", files=(UpdateFile("prontuario-update.json", 1, DIGEST),)),
    ],
)
def test_a_part_that_makes_no_sense(part: Part) -> None:
    with pytest.raises(ProntuarioError) as caught:
        encode(with_part(part))
    assert caught.value.kind.code == "update.manifest"


@pytest.mark.parametrize("path", ["/etc/passwd", "../x", "a/../../x", ".ssh/key", "a\\b", "a//b", ""])
def test_a_path_that_leads_elsewhere(path: str) -> None:
    for part in (
        Part(kind="table", name="a/b", files=(UpdateFile(path, 1, DIGEST),)),
        Part(kind="table", name=path if "/" in path else f"a/{path}\0", files=(UpdateFile("t", 1, DIGEST),)),
    ):
        with pytest.raises(ProntuarioError) as caught:
            encode(with_part(part))
        assert caught.value.kind.code in {"pack.path", "update.manifest"}


def test_its_program_has_its_version() -> None:
    with pytest.raises(ProntuarioError, match=r"not 1\.1\.0"):
        encode(manifest(parts=(Part(kind="package", name="9.9.9", files=(ONE,)),)))


def test_versions_are_in_order() -> None:
    ordered = ["0.9.9", "1.0.0a1", "1.0.0b2", "1.0.0rc1", "1.0.0rc2", "1.0.0", "1.0.1", "1.2.0", "1.10.0", "2.0.0"]
    assert sorted(ordered, key=order, reverse=True) == ordered[::-1]


def test_only_a_trusted_key_s_signature_of_an_update_counts() -> None:
    content = encode(manifest())
    trusted = [MAKER.public_key()]
    assert verify(content, sign(content, MAKER), trusted) == manifest()
    for signature in (
        sign(content, STRANGER),
        sign(content + b" ", MAKER),
        sign_pack(content, MAKER),  # the same key, for another purpose
        base64.b64encode(b"\0" * 64),
        b"no base64 at all",
        b"",
    ):
        with pytest.raises(ProntuarioError) as caught:
            verify(content, signature, trusted)
        assert caught.value.kind.code == "update.untrusted"
    with pytest.raises(ProntuarioError, match="trusted"):
        verify(content, sign(content, MAKER), [])


def test_who_signed_garbage_is_told_so() -> None:
    for content in (b"", b"[]", b"\xff\xfe", b"[" * 10000, json.dumps({"version": OLD}).encode()):
        with pytest.raises(ProntuarioError) as caught:
            verify(content, sign(content, MAKER), [MAKER.public_key()])
        assert caught.value.kind.code == "update.manifest"


def test_a_bundle_is_told_by_its_manifest() -> None:
    assert len(manifests.digest(b"x")) == 32
    assert manifests.digest(b"x") != manifests.digest(b"y")
