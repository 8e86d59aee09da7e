#!/usr/bin/env bash
# Flashlane beside what people build instead (a mutex, a Redis script a click, transactions of PostgreSQL), under
# the same promise, written into docs/measured.md. As root on Debian, it installs what it needs. Some five minutes.
set -euo pipefail
cd "$(dirname "$0")/.."
# Debian's package would make a database of its own and run it while others are measured.
if [ "$(id -u)" = 0 ] && [ ! -e /etc/postgresql-common ]; then
  mkdir -p /etc/postgresql-common && echo "create_main_cluster = false" >/etc/postgresql-common/createcluster.conf
fi
for needed in "redis-server redis-server" "/usr/lib/postgresql/*/bin/initdb postgresql"; do
  read -r program package <<<"$needed"
  if ! compgen -c "$program" >/dev/null && ! compgen -G "$program" >/dev/null; then
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
      apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "$package"
    else
      echo "peers: $package is missing; on Debian: apt-get install $package" >&2
      exit 1
    fi
  fi
done
. scripts/programs.sh
[ -n "${FLASHLANE_BIN:-}" ] || cargo build --release --locked --quiet -p peers
"$bin/peers" "$@" | scripts/measured.py peers "scripts/peers.sh${*:+ $*}"
"$bin/plots"
