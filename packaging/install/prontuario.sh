#!/bin/sh
# The command `prontuario` of one version: its own interpreter, whatever the caller's environment says about Python.
set -eu
here=$(cd "$(dirname "$0")" && pwd -P)
PATH="$here:${PATH:-/usr/bin:/bin:/usr/sbin:/sbin}" PYTHONDONTWRITEBYTECODE=1
export PATH PYTHONDONTWRITEBYTECODE
exec "$here/../python/bin/@PYTHON@" -I -B -m appliance.daemon "$@"
