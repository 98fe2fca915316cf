#!/bin/sh
# activate.sh VERSION|--back|--heal [ROOT]: make VERSION the one that runs; if it is not healthy, go back by itself.
#   --back   to the version before the present one
#   --heal   finish an activation that was interrupted (killed, power loss): back to the version that ran before it
# ROOT stands for / (default). Run again after any interruption, it ends in a whole state.
#
# Exit status: 0 VERSION runs; 2 wrong usage; 3 the version before runs again; 4 nothing runs (there was none before);
# 5 neither is healthy; 1 refused before anything was touched.
#
# What was running before is written down (switching) before the first job is stopped, so that whoever comes after a kill -9
# knows it. `current` is replaced by a rename: at no moment is it missing.
set -eu
umask 022

usage() { echo "usage: activate.sh VERSION|--back|--heal [ROOT]" >&2; exit 2; }
case $# in 1|2) ;; *) usage ;; esac
case $1 in --heal|--back) ;; ''|-*|*/*|.*) usage ;; esac
[ "$(id -u)" = 0 ] || { echo "activate.sh: run this as root (sudo)" >&2; exit 1; }
root=${2:-}
root=${root%/}
prefix=$root/Library/Prontuario
home=$root/Library/Application\ Support/Prontuario
journal=$prefix/switching
lock=$prefix/activating
here=$(cd "$(dirname "$0")" && pwd -P)
# shellcheck source=/dev/null
. "$here/jobs.sh"

say() { echo "prontuario: $*" >&2; }

running() { # the version that `current` names
  link=$(readlink "$prefix/current" 2>/dev/null) || return 0
  echo "${link#versions/}"
}

alive() { # does process $1 live, and is it an activation? After a power loss its number may be anybody's
  kill -0 "$1" 2>/dev/null || return 1
  case $(ps -p "$1" -o command= 2>/dev/null) in *activate.sh*) ;; *) return 1 ;; esac
}

take_lock() {
  # A folder, because making one either succeeds or does not. The number in it tells whether its maker still lives.
  tries=0
  until mkdir "$lock" 2>/dev/null; do
    tries=$((tries + 1))
    [ "$tries" -le 3 ] || { say "the disk is full; nothing was changed. Make room and try again"; exit 1; }
    [ -s "$lock/pid" ] || sleep 1 # its maker may be about to write its number
    owner=$(cat "$lock/pid" 2>/dev/null || true)
    if [ -n "$owner" ] && alive "$owner"; then
      say "another activation is under way (process $owner)"
      exit 1
    fi
    rm -rf "$lock"
  done
  { echo $$ >"$lock/pid"; } 2>/dev/null || {
    rm -rf "$lock"
    say "the disk is full; nothing was changed. Make room and try again"
    exit 1
  }
  trap 'rm -rf "$lock"' EXIT
  trap 'exit 1' INT TERM HUP
}

whole() { # is every file of version $1 there, as it was packed?
  [ -f "$prefix/versions/$1/MANIFEST.sha256" ] || return 1
  (cd "$prefix/versions/$1" && shasum -a 256 -c --status MANIFEST.sha256 2>/dev/null)
}

write_journal() {
  { echo "$1" >"$journal.new" && [ -s "$journal.new" ] && mv -f "$journal.new" "$journal"; } 2>/dev/null || {
    rm -f "$journal.new"
    return 1
  }
  sync
}

point() { # current -> versions/$1, in one step; -h is macOS's word for it, -T GNU's
  rm -f "$prefix/current.new"
  ln -s "versions/$1" "$prefix/current.new" || return 1
  mv -fh "$prefix/current.new" "$prefix/current" 2>/dev/null || mv -fT "$prefix/current.new" "$prefix/current" || return 1
  sync
}

set_up() { # is there a node on this Mac yet?
  [ -f "$home/prontuario.toml" ]
}

run_version() { # from a standstill: version $1 with its own plists (or with $2 = anyhow: those that are there), and is it well?
  point "$1" || return 1
  if ! set_up; then
    "$prefix/versions/$1/bin/prontuario" version >/dev/null || return 1
    return 0
  fi
  "$prefix/versions/$1/bin/prontuario" launchd render --home "$home" --out "$root/" >/dev/null || [ "${2:-}" = anyhow ] || return 1
  jobs_start || return 1
  "$prefix/versions/$1/scripts/health_gate.sh" "$home"
}

keep_two() { # older versions than this one and the one before it go away
  for folder in "$prefix"/versions/*; do
    name=${folder##*/}
    [ "$name" = "$1" ] || [ "$name" = "$2" ] || rm -rf "$folder"
  done
}

finish() { # $1 runs, $2 ran before it; exit status 1: that could not be written down
  noted=0
  if [ -n "$2" ] && [ "$2" != "$1" ]; then
    { echo "$2" >"$prefix/previous.new" && mv -f "$prefix/previous.new" "$prefix/previous"; } 2>/dev/null || {
      noted=1
      rm -f "$prefix/previous" # it names one that is older still: --back must not lead there
    }
  fi
  rm -f "$journal"
  sync
  return "$noted"
}

go_back() { # from a failed or interrupted activation to version $1; ends the script
  if [ -z "$1" ] || ! [ -d "$prefix/versions/$1" ]; then
    jobs_stop || true
    rm -f "$root"/Library/LaunchDaemons/br.prontuario.*.plist "$prefix/current" "$journal"
    say "there is no version to go back to; nothing runs"
    exit 4
  fi
  jobs_stop || true
  if run_version "$1" anyhow; then
    rm -f "$journal"
    say "version $1 runs again"
    exit 3
  fi
  rm -f "$journal"
  say "version $1 does not get well either; run: prontuario doctor"
  exit 5
}

mkdir -p "$prefix/versions"
take_lock
interrupted=
if [ -f "$journal" ]; then
  interrupted=yes
  before=$(cat "$journal")
  [ "$before" != none ] || before=
else
  before=$(running)
fi

case $1 in
  --heal)
    [ -n "$interrupted" ] || exit 0
    say "an activation was interrupted; going back to ${before:-nothing}"
    go_back "$before"
    ;;
  --back)
    wanted=$(cat "$prefix/previous" 2>/dev/null || true)
    [ -n "$wanted" ] || { say "there is no version before this one"; exit 1; }
    ;;
  *) wanted=$1 ;;
esac

if ! whole "$wanted"; then
  say "version $wanted is not whole on this disk; nothing was changed. Install its package again"
  # With an interrupted activation before it, staying as it is would leave the node between two versions.
  [ -z "$interrupted" ] || go_back "$before"
  exit 1
fi
write_journal "${before:-none}" || { say "the disk is full; nothing was changed. Make room and try again"; exit 1; }

if jobs_stop && run_version "$wanted"; then
  # On a full disk no version goes away: the one before is not noted then, and an update whose consult fails goes back to it.
  if finish "$wanted" "$before"; then
    keep_two "$wanted" "$(cat "$prefix/previous" 2>/dev/null || true)"
  fi
  say "version $wanted runs"
  exit 0
fi
say "version $wanted is not healthy"
# After a repair or a way back that did not help, $before is $wanted itself: it stays, and doctor with it. The version before it
# might not read the database any more (an update that failed may have migrated it); a person can say --back.
go_back "$before"
