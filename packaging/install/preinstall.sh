#!/bin/sh
# preinstall PACKAGE TARGET VOLUME: is there room, and is the ground clean? Nothing that runs is touched.
# A version that was half laid down by an interrupted installation goes away; an interrupted activation is taken back first.
set -eu
version=@VERSION@ size_kb=@SIZE_KB@

root=${3:-}
root=${root%/}
prefix=$root/Library/Prontuario
[ "$(id -u)" = 0 ] || { echo "prontuario: the installer must run as root" >&2; exit 1; }
[ "$(uname -m)" = arm64 ] || { echo "prontuario: this package is for Apple silicon" >&2; exit 1; }

if [ -f "$prefix/switching" ] && [ -x "$prefix/current/scripts/activate.sh" ]; then
  "$prefix/current/scripts/activate.sh" --heal "$root" || true # the activation at the end tries again
fi
current=$(readlink "$prefix/current" 2>/dev/null || true)
[ "$current" = "versions/$version" ] || rm -rf "$prefix/versions/$version"

mkdir -p "$prefix/versions"
free_kb=$(df -kP "$prefix" | awk 'NR == 2 { print $4 }')
# Room for the files and as much again for the node to go on writing meanwhile.
needed_kb=$((size_kb * 2))
if [ "$free_kb" -lt "$needed_kb" ]; then
  echo "prontuario: $needed_kb KiB must be free, $free_kb are; make room and install again" >&2
  exit 1
fi
