"""``python -m pkgmake``: build, verify, seal, and what ``make`` calls."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from flatpkg import Archive, PackageError, Signer

from pkgmake.assemble import MACHO_LIST, Sources, assemble, check_version, seal
from pkgmake.digests import sha256_of
from pkgmake.errors import BuildError
from pkgmake.inputs import read_inputs
from pkgmake.own_code import unrecorded
from pkgmake.package import distribution, identifier, installed_kb, stage_scripts, write_package
from pkgmake.policy import read_policy
from pkgmake.verify import verify

PACKAGING = Path(__file__).resolve().parent.parent
REPOSITORY = PACKAGING.parent


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; 0 when all went well, 1 with a sentence on stderr when not."""
    arguments = _parser().parse_args(argv)
    try:
        arguments.run(arguments)
    except (BuildError, PackageError, OSError) as error:
        print(f"pkg: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="pkgmake", description=__doc__)
    commands = parser.add_subparsers(required=True)
    tree = commands.add_parser("tree", help="assemble a version's tree into an empty folder")
    build = commands.add_parser("build", help="assemble and write the package")
    for one in (tree, build):
        one.add_argument("--version", required=True)
        one.add_argument("--inputs", type=Path, default=REPOSITORY / "build" / "pkg" / "inputs.toml")
        one.add_argument("--lock", type=Path, default=REPOSITORY / "requirements" / "macos-py311.lock")
        one.add_argument("--wheelhouse", type=Path, default=REPOSITORY / "build" / "pkg" / "wheelhouse")
        one.add_argument("--policy", type=Path, default=PACKAGING / "policy.toml")
        one.add_argument("--repository", type=Path, default=REPOSITORY, help=argparse.SUPPRESS)
        one.add_argument("--out", type=Path, required=True)
    build.add_argument("--key", type=Path, help="PEM: sign with this RSA key")
    build.add_argument("--chain", type=Path, help="PEM: its certificate first, then the authorities' below the root")
    tree.set_defaults(run=_tree)
    build.set_defaults(run=_build)
    check = commands.add_parser("verify", help="prove a package")
    check.add_argument("package", type=Path)
    check.add_argument("--root", type=Path, help="PEM: the package must be signed and lead back to this certificate")
    check.set_defaults(run=_verify)
    listing = commands.add_parser("list", help="the members of a package")
    listing.add_argument("package", type=Path)
    listing.set_defaults(run=_list)
    sealing = commands.add_parser("seal", help="audit a version's folder and write its lists anew (after signing)")
    sealing.add_argument("folder", type=Path)
    sealing.add_argument("--policy", type=Path, default=PACKAGING / "policy.toml")
    sealing.set_defaults(run=_seal)
    release = commands.add_parser("release-parts", help="what pkgbuild and productbuild need beside a tree")
    release.add_argument("--version", required=True)
    release.add_argument("--tree", type=Path, required=True)
    release.add_argument("--out", type=Path, required=True)
    release.set_defaults(run=_release_parts)
    return parser


def _sources(arguments: argparse.Namespace) -> Sources:
    return Sources(
        arguments.repository,
        arguments.lock,
        arguments.wheelhouse,
        read_inputs(arguments.inputs),
        read_policy(arguments.policy),
    )


def _tree(arguments: argparse.Namespace) -> None:
    check_version(arguments.version)
    if arguments.out.exists() and any(arguments.out.iterdir()):
        raise BuildError(f"{arguments.out} is not empty.", "Name a new folder.")
    assemble(_sources(arguments), arguments.version, arguments.out)


def _build(arguments: argparse.Namespace) -> None:
    version = check_version(arguments.version)
    signer = _signer(arguments.key, arguments.chain)
    if changed := unrecorded(arguments.repository):
        print(
            f"pkg: {len(changed)} files of ours are not committed; nobody can make this package again", file=sys.stderr
        )
    sources = _sources(arguments)
    arguments.out.mkdir(parents=True, exist_ok=True)
    package = arguments.out / f"prontuario-{version}.pkg"
    when = int(os.environ.get("SOURCE_DATE_EPOCH", "0"))
    with tempfile.TemporaryDirectory(dir=arguments.out) as work:
        root = Path(work) / "root"
        assemble(sources, version, root)
        scripts = arguments.repository / "packaging" / "install"
        write_package(root, scripts, version, package, signer=signer, when=when)
        for listed in (root / "versions" / version).glob(MACHO_LIST):
            shutil.copyfile(listed, arguments.out / f"prontuario-{version}.macho.txt")
    print(
        f"{package}\nSHA-256 {sha256_of(package)}, {package.stat().st_size} bytes, {'signed' if signer else 'unsigned'}"
    )


def _signer(key_file: Path | None, chain_file: Path | None) -> Signer | None:
    if key_file is None and chain_file is None:
        return None
    if key_file is None or chain_file is None:
        raise BuildError("Signing takes a key and its chain.", "Give both --key and --chain.")
    try:
        key = load_pem_private_key(key_file.read_bytes(), None)
        chain = x509.load_pem_x509_certificates(chain_file.read_bytes())
    except (ValueError, TypeError) as error:
        raise BuildError("Key or chain can't be read.", "Give PEM files, the key without a password.") from error
    if not isinstance(key, rsa.RSAPrivateKey):
        raise BuildError("The key is not RSA, which the installer demands.", "Give the RSA key.")
    return Signer(key, chain)


def _verify(arguments: argparse.Namespace) -> None:
    root = x509.load_pem_x509_certificate(arguments.root.read_bytes()) if arguments.root else None
    report = verify(arguments.package, root)
    signer = f"signed by {report.signer}" if report.signer else "no signer asked for"
    print(
        f"{arguments.package}: sound; version {report.version}, {report.files} files, {report.installed_bytes} bytes, {signer}"
    )


def _list(arguments: argparse.Namespace) -> None:
    with Archive(arguments.package) as archive:
        for member in archive.members.values():
            print(f"{member.size:>12} {member.path}")


def _seal(arguments: argparse.Namespace) -> None:
    seal(arguments.folder, read_policy(arguments.policy))


def _release_parts(arguments: argparse.Namespace) -> None:
    from flatpkg import entries

    version = check_version(arguments.version)
    arguments.out.mkdir(parents=True, exist_ok=True)
    stage_scripts(PACKAGING / "install", arguments.out / "scripts", version, arguments.tree)
    text = distribution(version, installed_kb(entries(arguments.tree)))
    (arguments.out / "Distribution").write_text(text, encoding="utf-8")
    print(identifier(version))


if __name__ == "__main__":
    sys.exit(main())
