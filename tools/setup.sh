#!/usr/bin/env bash
# setup.sh run|pair|dev PYTHON: makes .venv from the hashed lock file of this platform; system packages by apt when root on Debian.
set -euo pipefail
cd "$(dirname "$0")/.."
kind=$1 python=$2

packages=(); list=requirements/packages-run.txt; [ "$kind" = run ] || list=requirements/packages-${kind/dev/test}.txt
while read -r name _; do case $name in ''|'#'*) ;; *) packages+=("$name");; esac; done <"$list"
if command -v dpkg-query >/dev/null; then
  missing=()
  for package in "${packages[@]}"; do dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package"); done
  if [ ${#missing[@]} -gt 0 ]; then
    if [ "$(id -u)" = 0 ]; then
      echo "== installing ${missing[*]}"
      quiet=/usr/sbin/policy-rc.d # Debian starts the daemons that it installs; the tests start their own
      [ -e "$quiet" ] || { printf '#!/bin/sh\nexit 101\n' >"$quiet" && chmod 755 "$quiet" && trap 'rm -f "$quiet"' EXIT; }
      apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
    else
      echo "== not root: please install ${missing[*]} (sudo apt-get install ${missing[*]})" >&2
    fi
  fi
fi

[ "$kind" = pair ] && { command -v etcd >/dev/null || echo "== a pair needs etcd 3.4 or later on the PATH (Debian: etcd-server; Homebrew: etcd)" >&2; exit 0; }
case $(uname -s) in Darwin) system=macos;; *) system=linux;; esac
for candidate in "$python" python3.13 python3.12 python3.11; do
  command -v "$candidate" >/dev/null && "$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' 2>/dev/null && { found=$candidate; break; }
done
[ -n "${found:-}" ] || { echo "Prontuário needs Python 3.11, 3.12 or 3.13; '$python' is not one (say make PYTHON=/path/to/python)." >&2; exit 2; }

[ -x .venv/bin/python ] || { echo "== making .venv with $("$found" --version)"; "$found" -m venv .venv; }
tag=$(.venv/bin/python -c 'import sys; print("py%d%d" % sys.version_info[:2])')
suffix=; [ "$kind" = dev ] && suffix=-dev
echo "== installing requirements/$system-$tag$suffix.lock (hashes checked)"
PIP_DISABLE_PIP_VERSION_CHECK=1 .venv/bin/python -m pip install --quiet --no-deps --require-hashes -r "requirements/$system-$tag$suffix.lock"
PIP_DISABLE_PIP_VERSION_CHECK=1 .venv/bin/python -m pip install --quiet --no-deps --no-build-isolation --editable .
