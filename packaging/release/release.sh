#!/bin/bash
# release.sh VERSION OUT [--dry-run]: the package as it is given to hospitals; on a Mac with Xcode's command line tools.
#
#   APP_IDENTITY        "Developer ID Application: …", for codesign
#   INSTALLER_IDENTITY  "Developer ID Installer: …", for productsign
#   NOTARY_PROFILE      what `xcrun notarytool store-credentials` was told to call it
#   PKG_PYTHON          a Python with cryptography (default: .venv/bin/python)
#
# Assembles the same tree as `make pkg`, signs every Mach-O in it inside out with the hardened runtime, seals the lists over what
# was signed, and has Apple's own tools make, sign, notarise and staple the package. --dry-run prints the commands and runs none.
# Works with the bash 3.2 that macOS brings.
set -euo pipefail

usage() { echo "usage: release.sh VERSION OUT [--dry-run]" >&2; exit 2; }
dry=
case $# in 2) ;; 3) [ "$3" = --dry-run ] || usage; dry=yes ;; *) usage ;; esac
version=$1 out=$2
repository=$(cd "$(dirname "$0")/../.." && pwd -P)
python=${PKG_PYTHON:-$repository/.venv/bin/python}
export PYTHONPATH=$repository/packaging
tree=$out/tree parts=$out/parts
folder=$tree/versions/$version
component=$parts/appliance.pkg product=$parts/product.pkg package=$out/prontuario-$version.pkg

for name in APP_IDENTITY INSTALLER_IDENTITY NOTARY_PROFILE; do
  [ -n "${!name:-}" ] || { echo "release.sh: say $name (see the head of this file)" >&2; exit 2; }
done
if [ -z "$dry" ] && [ "$(uname -s)" != Darwin ]; then
  echo "release.sh: this needs a Mac; elsewhere: make pkg, or --dry-run" >&2
  exit 1
fi
[ ! -e "$package" ] || { echo "release.sh: $package is there already" >&2; exit 1; }

run() {
  printf '+'; printf ' %q' "$@"; printf '\n'
  [ -n "$dry" ] || "$@"
}

programs_of() { # what has to be signed, libraries first; a dry run has no tree, so it names the kinds
  if [ -n "$dry" ]; then printf '%s\n' '<each library, deepest first>' '<each program>'; else cat "$folder/MACHO.txt"; fi
}

sign() {
  # Only main programs carry entitlements: numba compiles while it runs (JIT), and plugins bring libraries that others signed.
  local path=$folder/$1 entitlements=()
  if [ -z "$dry" ] && file -b "$path" | grep -q executable; then
    entitlements=(--entitlements "$repository/packaging/release/entitlements.plist")
  fi
  run codesign --force --sign "$APP_IDENTITY" --options runtime --timestamp ${entitlements[@]+"${entitlements[@]}"} "$path"
  run codesign --verify --strict "$path"
}

run rm -rf "$tree" "$parts"
run mkdir -p "$parts"
run "$python" -m pkgmake tree --version "$version" --out "$tree"
while read -r program; do sign "$program"; done < <(programs_of)
run "$python" -m pkgmake seal "$folder"
run "$python" -m pkgmake release-parts --version "$version" --tree "$tree" --out "$parts"
identifier=br.prontuario.appliance.v${version//./_}
run pkgbuild --root "$tree" --identifier "$identifier" --version "$version" --install-location /Library/Prontuario \
  --scripts "$parts/scripts" --ownership recommended "$component"
run productbuild --distribution "$parts/Distribution" --package-path "$parts" "$product"
run productsign --sign "$INSTALLER_IDENTITY" --timestamp "$product" "$package"
run pkgutil --check-signature "$package"
run xcrun notarytool submit "$package" --keychain-profile "$NOTARY_PROFILE" --wait
run xcrun stapler staple "$package"
run xcrun stapler validate "$package"
run spctl --assess --type install --verbose "$package"
run shasum -a 256 "$package"
