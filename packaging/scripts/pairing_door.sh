#!/bin/sh
# pairing_door.sh open|close [ROOT]: while a second Mac joins a node that runs already, macOS's own packet rules hold instead of
# ours, which keep the joining port closed. `close` loads ours again. ROOT stands for / (default).
set -eu

root=${2:-}
root=${root%/}
case ${1:-} in open|close) ;; *) echo "usage: pairing_door.sh open|close [ROOT]" >&2; exit 2 ;; esac
[ "$(id -u)" = 0 ] || { echo "pairing_door.sh: run this as root (sudo)" >&2; exit 1; }
rules=/etc/pf.conf
[ "$1" = open ] || rules=$root/etc/prontuario/pf.conf
pfctl -f "$rules"
