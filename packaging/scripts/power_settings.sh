#!/bin/sh
# power_settings.sh [--check]: this Mac never sleeps, and starts by itself when the power comes back.
# --check changes nothing and names what is set otherwise; exit status 1 then.
set -eu

# name value: what pmset(1) is told and shows. A name that this Mac does not show does not exist on it.
wanted='sleep 0
disksleep 0
standby 0
powernap 0
autorestart 1
womp 1'

check() {
  shown=$(pmset -g custom)
  echo "$wanted" | {
    wrong=0
    while read -r name value; do
      for found in $(echo "$shown" | awk -v name="$name" '$1 == name { print $2 }'); do
        [ "$found" = "$value" ] || { echo "$name is $found, should be $value"; wrong=1; }
      done
    done
    return "$wrong"
  }
}

case ${1:-} in
  --check) check ;;
  '')
    [ "$(id -u)" = 0 ] || { echo "power_settings.sh: run this as root (sudo)" >&2; exit 1; }
    echo "$wanted" | while read -r name value; do
      # A desktop Mac without that setting says so and goes on.
      pmset -a "$name" "$value" || echo "power_settings.sh: this Mac has no $name" >&2
    done
    check
    ;;
  *) echo "usage: power_settings.sh [--check]" >&2; exit 2 ;;
esac
