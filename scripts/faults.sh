#!/usr/bin/env bash
# The fault suite: breaks the real flashlane and a real redis-server under load, and compares what
# clients were told with what the store and its outbox hold. The whole suite takes some 3 minutes;
# with --short, which makes each fault a few times, about one. The whole suite, when nothing is broken,
# writes its table into docs/measured.md.
set -euo pipefail
cd "$(dirname "$0")/.."

command -v redis-server >/dev/null || { echo "faults: redis-server is missing; on Debian: apt-get install redis-server" >&2; exit 1; }
armed=target/faults/faults
RUSTFLAGS="--cfg flash_faults" CARGO_TARGET_DIR=target/faults \
  cargo build --quiet --locked --profile faults -p gateway -p benches --bin flashlane --bin faults
case "${1:-}" in
  --build-armed) exit ;;
  --short) shift; length=() ;;
  *) length=(--long) ;;
esac
. scripts/programs.sh
suite=("$bin/faults" --binary "$bin/flashlane" --armed "$armed/flashlane" "${length[@]}" "$@")
if [ "${length[*]} $*" != "--long " ]; then
  exec "${suite[@]}"
fi
table=$(mktemp)
trap 'rm -f "$table"' EXIT
"${suite[@]}" | tee "$table"
scripts/measured.py faults scripts/faults.sh <"$table" >/dev/null
