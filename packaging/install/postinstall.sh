#!/bin/sh
# postinstall PACKAGE TARGET VOLUME: role account, folders, the command, and the activation with its health gate.
# Fails when the new version does not run; then the one before runs again.
# A Mac's settings (sleep, Time Machine, the right to switch off) are changed once it is a node: by prontuario setup, and here
# again at every update, since a macOS update may take them back. What macOS refuses then is told, and does not stop the update.
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

home="/Library/Application Support/Prontuario"
if [ -f "$root$home/prontuario.toml" ]; then
  "$scripts/power_settings.sh" >&2 || echo "prontuario: power settings are not as wanted; see prontuario doctor" >&2
  "$scripts/time_machine.sh" "$root$home" >&2 || echo "prontuario: Time Machine may copy the record; see prontuario doctor" >&2
  "$scripts/shutdown_right.sh" "$root" >&2 || echo "prontuario: the UPS can't switch this Mac off; see docs/power.md" >&2
fi

mkdir -p "$root/usr/local/bin"
command=$root/usr/local/bin/prontuario
rm -f "$command.new"
# No link: the launcher finds its version beside itself. Whole or not at all: on a full disk the one of before is what doctor needs.
printf '#!/bin/sh\nexec /Library/Prontuario/current/bin/prontuario "$@"\n' >"$command.new"
chmod 755 "$command.new"
# -h is macOS's word for "replace a link, don't follow it", -T GNU's.
mv -fh "$command.new" "$command" 2>/dev/null || mv -fT "$command.new" "$command"

exec "$scripts/activate.sh" "$version" "$root"
