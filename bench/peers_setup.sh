#!/usr/bin/env bash
# peers_setup.sh: what the peers of bench-pair and bench-failover need. Debian packages when root; Patroni into build/peers.
# Nothing of it is part of the appliance, and no bench installs anything by itself.
set -euo pipefail
cd "$(dirname "$0")/.."

packages=(postgresql etcd-server etcd-client haproxy python3-venv)
missing=()
for package in "${packages[@]}"; do
  dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
done
if [ ${#missing[@]} -gt 0 ]; then
  if [ "$(id -u)" != 0 ]; then
    echo "== not root: please install ${missing[*]} (sudo apt-get install ${missing[*]})" >&2
    exit 2
  fi
  echo "== installing ${missing[*]}"
  apt-get update -qq
  # The benches start their own servers: Debian's shall make no cluster and start no service.
  mkdir -p /etc/postgresql-common/createcluster.d
  echo 'create_main_cluster = false' >/etc/postgresql-common/createcluster.d/prontuario-bench.conf
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi

# PostgreSQL refuses to run as root, so its user must be able to read this Python: the system's, not one in somebody's home.
[ -x build/peers/bin/python ] || "${PYTHON:-/usr/bin/python3}" -m venv build/peers
PIP_DISABLE_PIP_VERSION_CHECK=1 build/peers/bin/python -m pip install --quiet 'patroni[etcd3,psycopg3]==4.1.5' 'psycopg[binary]'
echo "== peers are ready: $(build/peers/bin/patroni --version), $(haproxy -v | head -n 1)"
