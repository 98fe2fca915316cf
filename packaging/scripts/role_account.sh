#!/bin/sh
# Makes the role account _prontuario: no password, no shell, no home of its own, hidden from the login window.
# Run again, it changes nothing. Ids 200-400 are macOS's for roles; the first one free for user and group alike is taken.
set -eu

account=_prontuario
[ "$(id -u)" = 0 ] || { echo "role_account.sh: run this as root (sudo)" >&2; exit 1; }

taken() {
  dscl . -list "/$1" "$2" | awk -v id="$3" '$NF == id { found = 1 } END { exit !found }'
}

id_of() {
  dscl . -read "/$1/$account" "$2" 2>/dev/null | awk '{ print $2 }'
}

group_id=$(id_of Groups PrimaryGroupID)
user_id=$(id_of Users UniqueID)
if [ -z "$group_id" ] && [ -z "$user_id" ]; then
  number=301
  while taken Users UniqueID "$number" || taken Groups PrimaryGroupID "$number"; do
    number=$((number + 1))
    [ "$number" -le 400 ] || { echo "role_account.sh: no id between 301 and 400 is free" >&2; exit 1; }
  done
  group_id=$number user_id=$number
elif [ -z "$group_id" ] || [ -z "$user_id" ]; then
  # Half of an account: an interrupted run. The other half gets the same number.
  group_id=${group_id:-$user_id} user_id=${user_id:-$group_id}
fi

[ -n "$(id_of Groups PrimaryGroupID)" ] || dscl . -create "/Groups/$account" PrimaryGroupID "$group_id"
dscl . -create "/Groups/$account" RealName "Prontuario"
dscl . -create "/Groups/$account" Password "*"
[ -n "$(id_of Users UniqueID)" ] || dscl . -create "/Users/$account" UniqueID "$user_id"
dscl . -create "/Users/$account" PrimaryGroupID "$group_id"
dscl . -create "/Users/$account" RealName "Prontuario"
dscl . -create "/Users/$account" NFSHomeDirectory /var/empty
dscl . -create "/Users/$account" UserShell /usr/bin/false
dscl . -create "/Users/$account" Password "*"
dscl . -create "/Users/$account" IsHidden 1
