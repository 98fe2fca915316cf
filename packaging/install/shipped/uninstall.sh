#!/bin/sh
# uninstall.sh [--delete-data] [ROOT]: take Prontuário off this Mac. ROOT stands for / (default).
#
# The record, its keys and its models stay where they are, unless --delete-data is given and confirmed: the law asks for twenty
# years of it (Lei 13.787/2018). Run again after an interruption, it goes on where it was.
set -eu

delete=
[ "${1:-}" != --delete-data ] || { delete=yes; shift; }
case ${1:-} in -*) echo "usage: uninstall.sh [--delete-data] [ROOT]" >&2; exit 2 ;; esac
[ "$(id -u)" = 0 ] || { echo "uninstall.sh: run this as root (sudo)" >&2; exit 1; }
root=${1:-}
root=${root%/}
account=_prontuario
prefix=$root/Library/Prontuario
home=$root/Library/Application\ Support/Prontuario
here=$(cd "$(dirname "$0")" && pwd -P)
# shellcheck source=/dev/null
. "$here/jobs.sh"

if [ -n "$delete" ]; then
  echo "This deletes every record, key and backup in $home. It can't be undone." >&2
  printf 'Type DELETE THE RECORD to go on: ' >&2
  read -r answer || answer=
  [ "$answer" = "DELETE THE RECORD" ] || { echo "Nothing was changed." >&2; exit 1; }
fi

jobs_stop || { echo "uninstall.sh: a job does not end; restart the Mac and run this again" >&2; exit 1; }
rm -f "$root"/Library/LaunchDaemons/br.prontuario.*.plist "$root/etc/newsyslog.d/prontuario.conf" "$root/etc/sudoers.d/prontuario"
if [ -e "$root/etc/prontuario/pf.conf" ]; then
  # Our rules are the packet filter's present ones: give it macOS's own back.
  pfctl -f /etc/pf.conf 2>/dev/null || echo "uninstall.sh: the packet filter keeps our rules until the next start" >&2
  rm -f "$root/etc/prontuario/pf.conf" "$root/etc/pf.anchors/br.prontuario"
  rmdir "$root/etc/prontuario" 2>/dev/null || true
fi
rm -f "$root/usr/local/bin/prontuario" "$root/usr/local/bin/prontuario.new"

if [ -n "$delete" ]; then
  for path in "$home" /var/log/prontuario; do
    tmutil removeexclusion -p "$path" 2>/dev/null || true
  done
  rm -rf "$home" "$root/var/log/prontuario"
  for record in Users Groups; do
    ! dscl . -read "/$record/$account" >/dev/null 2>&1 || dscl . -delete "/$record/$account"
  done
fi

for receipt in $(pkgutil --pkgs | grep '^br\.prontuario\.appliance\.' || true); do
  pkgutil --forget "$receipt" >/dev/null
done
rm -rf "$prefix"
if [ -n "$delete" ]; then
  echo "Prontuário and its data are gone."
else
  echo "Prontuário is gone. The data stays in $home."
fi
