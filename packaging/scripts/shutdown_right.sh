#!/bin/sh
# shutdown_right.sh [ROOT]: the node's account may switch this Mac off when the UPS's battery ends: by this one command line,
# without a password, and nothing else as root (docs/power.md). ROOT stands for / (default). Run again, it changes nothing.
set -eu

root=${1:-}
root=${root%/}
line='_prontuario ALL=(root) NOPASSWD: /sbin/shutdown -h now'
folder=$root/etc/sudoers.d
file=$folder/prontuario
[ "$(id -u)" = 0 ] || { echo "shutdown_right.sh: run this as root (sudo)" >&2; exit 1; }

mkdir -p "$folder"
# sudo reads no file with a dot in its name: until it was checked and renamed, this one counts for nothing.
new=$file.new
rm -f "$new"
(umask 077 && printf '# Prontuario: switching the Mac off when the battery ends. docs/power.md\n%s\n' "$line" >"$new")
chown root:wheel "$new"
chmod 440 "$new"
visudo -cf "$new" >/dev/null || { rm -f "$new"; echo "shutdown_right.sh: visudo refuses the rule; nothing was changed" >&2; exit 1; }
mv -f "$new" "$file"
