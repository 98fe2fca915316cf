#!/bin/sh
# postinstall PACKAGE TARGET VOLUME: role account, folders, the command, and the activation with its health gate.
# Fails when the new version does not run; then the one before runs again.
set -eu
umask 022
version=@VERSION@

root=${3:-}
root=${root%/}
prefix=$root/Library/Prontuario
scripts=$prefix/versions/$version/scripts

"$scripts/role_account.sh"
for folder in "$prefix" "$prefix/versions" "$prefix/versions/$version"; do
  [ ! -L "$folder" ] || { echo "prontuario: $folder is a link" >&2; exit 1; }
  chown root:wheel "$folder"
  chmod 755 "$folder"
done
"$scripts/node_folders.sh" "/Library/Application Support/Prontuario" "$root"

mkdir -p "$root/usr/local/bin"
command=$root/usr/local/bin/prontuario
rm -f "$command"
# No link: the launcher finds its version beside itself.
printf '#!/bin/sh\nexec /Library/Prontuario/current/bin/prontuario "$@"\n' >"$command"
chmod 755 "$command"

exec "$scripts/activate.sh" "$version" "$root"
