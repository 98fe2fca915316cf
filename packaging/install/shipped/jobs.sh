# shellcheck shell=sh
# jobs.sh ROOT is read by others (with . ): taking a node's launchd jobs away and giving them back.
#
# launchctl bootout answers before the job is gone, and its label stays taken until then: bootstrap in that time fails with 5 or
# 37, and afterwards nothing runs at all. So whoever replaces a job waits until launchd no longer knows its label.
#
# Expects: root (without a slash at its end). JOBS_POLL_S seconds lie between two looks, JOBS_LOOKS of them are taken.

jobs_folder=${root:-}/Library/LaunchDaemons
jobs_poll_s=${JOBS_POLL_S:-0.5}
jobs_looks=${JOBS_LOOKS:-300}

# All names that a node may have, in the order of their start; also those whose file is gone are asked to leave.
jobs_names='firewall etcd vipd core admin'
jobs_reversed='admin core vipd etcd firewall'

jobs_leave() {
  jobs_status=0
  launchctl bootout "system/br.prontuario.$1" 2>/dev/null || jobs_status=$?
  case $jobs_status in
    3|113) return 0 ;;
    0|36|37) ;;
    *) echo "launchctl bootout br.prontuario.$1 failed ($jobs_status)" >&2; return 1 ;;
  esac
  jobs_left=$jobs_looks
  while launchctl print "system/br.prontuario.$1" >/dev/null 2>&1; do
    jobs_left=$((jobs_left - 1))
    [ "$jobs_left" -gt 0 ] || { echo "br.prontuario.$1 does not end" >&2; return 1; }
    sleep "$jobs_poll_s"
  done
}

jobs_come() {
  jobs_left=$jobs_looks
  while :; do
    jobs_status=0
    launchctl bootstrap system "$jobs_folder/br.prontuario.$1.plist" 2>/dev/null || jobs_status=$?
    case $jobs_status in
      0) return 0 ;;
      5|37) ;;
      *) jobs_left=1 ;;
    esac
    jobs_left=$((jobs_left - 1))
    [ "$jobs_left" -gt 0 ] || { echo "launchctl bootstrap br.prontuario.$1 failed ($jobs_status)" >&2; return 1; }
    sleep "$jobs_poll_s"
  done
}

# Every job is asked, and waited for, even when one before it does not end.
jobs_stop() {
  jobs_all=0
  for jobs_name in $jobs_reversed; do
    jobs_leave "$jobs_name" || jobs_all=1
  done
  return "$jobs_all"
}

jobs_start() {
  for jobs_name in $jobs_names; do
    [ ! -e "$jobs_folder/br.prontuario.$jobs_name.plist" ] || jobs_come "$jobs_name" || return 1
  done
}
