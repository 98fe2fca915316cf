"""Keys and signatures on the preparing machine."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from appliance.operations.packs import manifest as manifests
from appliance.operations.packs import signing
from appliance.plugin_api.errors import ProntuarioError
from tests.fakes import packs


def test_a_pair_of_keys_is_made_once_and_the_private_one_is_private(tmp_path: Path) -> None:
    private, public = signing.make_keys(tmp_path, "hospital")
    assert (private.stat().st_mode & 0o777, public.stat().st_mode & 0o777) == (0o600, 0o644)
    assert signing.read_private_key(private).public_key() == signing.read_public_key(public)
    before = private.read_bytes()
    with pytest.raises(FileExistsError):
        signing.make_keys(tmp_path, "hospital")
    assert private.read_bytes() == before


def test_what_one_key_signed_the_other_does_not_vouch_for(tmp_path: Path) -> None:
    packs.make(tmp_path / "pack")
    raw, signature = manifests.read_raw(tmp_path / "pack")
    maker, stranger = packs.MAKER.public_key(), packs.STRANGER.public_key()
    assert signing.verify(raw, signature, [stranger, maker]).pack == "tiny-1"
    for trusted in ([], [stranger]):
        with pytest.raises(ProntuarioError, match=r"pack\.untrusted"):
            signing.verify(raw, signature, trusted)


def test_a_signature_over_the_bare_bytes_is_none_for_a_pack(tmp_path: Path) -> None:
    packs.make(tmp_path / "pack")
    raw, _ = manifests.read_raw(tmp_path / "pack")
    with pytest.raises(ProntuarioError, match=r"pack\.untrusted"):
        signing.verify(raw, base64.b64encode(packs.MAKER.sign(raw)), [packs.MAKER.public_key()])


def test_trust_copies_the_public_key_and_nothing_else(tmp_path: Path) -> None:
    private, public = signing.make_keys(tmp_path, "maker")
    identifier = signing.trust(tmp_path / "trust", public)
    assert [signing.key_id(key) for key in signing.trusted_keys(tmp_path / "trust")] == [identifier]
    with pytest.raises(ProntuarioError, match=r"pack\.key"):
        signing.trust(tmp_path / "trust", private)
    assert len(list((tmp_path / "trust").iterdir())) == 1


def test_trust_replaces_what_lies_there_and_follows_no_link(tmp_path: Path) -> None:
    """A set-up trusts a key as root, in a folder that belongs to the node's own user."""
    _, public = signing.make_keys(tmp_path, "maker")
    victim = tmp_path / "sudoers"
    victim.write_text("root only")
    keys = tmp_path / "trust"
    keys.mkdir()
    place = keys / f"{signing.key_id(signing.read_public_key(public))}.pem"
    place.symlink_to(victim)
    signing.trust(keys, public)
    assert victim.read_text() == "root only"
    assert (place.is_symlink(), place.read_bytes()) == (False, public.read_bytes())


def test_a_damaged_trusted_key_is_told_and_not_skipped(tmp_path: Path) -> None:
    (tmp_path / "half.pem").write_text("-----BEGIN PUBLIC KEY-----\nAA")
    with pytest.raises(ProntuarioError, match=r"pack\.key"):
        signing.trusted_keys(tmp_path)


def test_keys_of_another_kind_are_refused(tmp_path: Path) -> None:
    key = generate_private_key(SECP256R1())
    (tmp_path / "a").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    (tmp_path / "b").write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    with pytest.raises(ProntuarioError, match=r"pack\.key"):
        signing.read_private_key(tmp_path / "a")
    with pytest.raises(ProntuarioError, match=r"pack\.key"):
        signing.read_public_key(tmp_path / "b")


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("pytorch_model.bin", b"\x80\x04", "pack.pickle"),
        ("model.safetensors", b"\x80\x04\x95", "pack.pickle"),
        ("modeling.py", b"import os", "pack.format"),
    ],
)
def test_signing_refuses_what_import_would_refuse_and_writes_nothing(
    tmp_path: Path, name: str, content: bytes, code: str
) -> None:
    folder = packs.write_model(tmp_path / "model")
    (folder / name).write_bytes(content)
    with pytest.raises(ProntuarioError) as caught:
        packs.sign_model(folder)
    assert caught.value.kind.code == code
    assert not (folder / manifests.MANIFEST_NAME).exists()


def test_a_folder_without_weights_or_configuration_is_no_model(tmp_path: Path) -> None:
    for missing in ("config.json", "model*.safetensors"):
        folder = packs.write_model(tmp_path / missing.strip("*"))
        for path in folder.glob(missing):
            path.unlink()
        (folder / "model.safetensors.index.json").unlink()
        with pytest.raises(ProntuarioError, match=r"pack\.format"):
            packs.sign_model(folder)


def test_a_folder_may_be_signed_again_for_the_next_version(tmp_path: Path) -> None:
    packs.make(tmp_path / "pack")
    assert packs.sign_model(tmp_path / "pack", version=2).pack == "tiny-2"
