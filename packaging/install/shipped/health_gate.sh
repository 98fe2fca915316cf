#!/bin/sh
# health_gate.sh HOME [SECONDS]: waits until the node of HOME says that it is ready; exit status 1 when it does not in time.
set -eu
[ $# -ge 1 ] || { echo "usage: health_gate.sh HOME [SECONDS]" >&2; exit 2; }
here=$(cd "$(dirname "$0")" && pwd -P)
exec "$here/../python/bin/@PYTHON@" -I -B "$here/health_gate.py" "$1" "${2:-180}"
