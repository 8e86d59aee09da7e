#!/usr/bin/env bash
# The fault suite: breaks the real flashlane and a real redis-server under load, and compares what
# clients were told with what the store and its outbox hold. With --short each
# fault is made a few times, which takes some five minutes; the whole suite takes much longer. The whole suite, when nothing is broken,
# writes its table into docs/measured.md.
set -euo pipefail
cd "$(dirname "$0")/.."

command -v redis-server >/dev/null || { echo "faults: redis-server is missing; on Debian: apt-get install redis-server" >&2; exit 1; }
target=${CARGO_TARGET_DIR:-target}
armed=$target/armed
command -v jq >/dev/null || { echo "faults: jq is missing; on Debian: apt-get install jq" >&2; exit 1; }
# With the tests, as they are built without the feature, so that what all need is compiled once. The next build puts
# the programs without it back in their place.
build() { cargo test --quiet --locked --workspace --test it --no-run "$@"; }
mkdir -p "$armed"
made=$(build --features engine/faults --message-format json-render-diagnostics)
cp "$target/debug/flashlane" "$target/debug/faults" "$armed"
cp "$(jq -r 'select(.executable and .target.name == "it" and (.package_id | test("/engine#"))).executable' <<<"$made")" \
  "$armed/engine-tests"
build
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
