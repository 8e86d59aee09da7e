#!/usr/bin/env bash
# Sells one sale after the other for an hour, each paid, audited, archived and in the end deleted, and looks whether
# the server takes more memory, descriptors, threads or disk as time goes on. Its table and its plot go to docs/.
# With --short it takes 45 seconds and writes nothing. Other arguments go on to `soak`.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/programs.sh
if [ "${1:-}" = --short ]; then
  exec "$bin/soak" --seconds 45 --units 200 --members 2000
fi
"$bin/soak" --svg docs/soak.svg "$@" | scripts/measured.py soak "scripts/soak.sh${*:+ $*}"
