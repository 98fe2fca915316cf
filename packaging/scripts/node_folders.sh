#!/bin/sh
# node_folders.sh HOME [ROOT]: owners and modes of a node's home and of what its jobs print. ROOT stands for / (default).
# Run again, it changes nothing. The home is the role account's alone; the log folder is root's, only the files in it are not.
set -eu

[ $# -ge 1 ] || { echo "usage: node_folders.sh HOME [ROOT]" >&2; exit 2; }
account=_prontuario
root=${2:-}
home=$root$1
logs=$root/var/log/prontuario

for folder in "$home" "$logs"; do
  [ ! -L "$folder" ] || { echo "node_folders.sh: $folder is a link" >&2; exit 1; }
done
mkdir -p "$home" "$logs"
chown "$account:$account" "$home"
chmod 700 "$home"
chown root:wheel "$logs"
chmod 755 "$logs"

for job in core etcd admin vipd firewall; do
  file=$logs/$job.log
  owner=$account:$account
  case $job in vipd|firewall) owner=root:wheel;; esac
  [ -e "$file" ] || : >"$file"
  chown "$owner" "$file"
  chmod 640 "$file"
done
