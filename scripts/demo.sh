#!/usr/bin/env bash
# Runs a member drop from beginning to end: builds, tells how a member reaches silver and what it is
# worth to her, serves 1,000 units on free ports, lets 20,000 members of five tiers click, tells how each
# tier fared, audits the sale, and stops. Exits 0 only if the audit finds nothing wrong. With `--redis` as the first
# argument the sale is in a redis-server, which is started for it. With `--keep` a crowd goes on clicking in a room, and links for a
# member of each tier and for the desk are printed, until it is stopped. Other arguments go on to `load`, whose `--help` lists them.
set -euo pipefail
cd "$(dirname "$0")/.."
with_redis= keep=
if [ "${1:-}" = --keep ]; then
  keep=yes
  shift
fi
if [ "${1:-}" = --redis ]; then
  with_redis=yes
  shift
  command -v redis-server >/dev/null || { echo "demo: redis-server is missing; on Debian: apt-get install redis-server" >&2; exit 1; }
fi

command -v cargo >/dev/null || { echo "demo: cargo is missing; install Rust 1.95 or later" >&2; exit 1; }
command -v cc >/dev/null || { echo "demo: a C compiler is missing; on Debian: apt-get install gcc libc6-dev" >&2; exit 1; }
. scripts/server.sh
report=${CARGO_TARGET_DIR:-target}/demo-report.html
options=() verify=()
if [ -n "$with_redis" ]; then
  start_redis
  options=(--redis "$redis") verify=(--redis "$redis")
fi
FLASHLANE_LOG=warn start_server --platform-listen 127.0.0.1:0 "${options[@]}"

# links SALE: prints where to look.
links() {
  local tier
  echo
  echo "the live room, for a member of each tier:"
  for tier in diamond platinum gold silver regular; do
    printf '  %-9s http://%s/room/%s#token=%s\n' "$tier" "$public" "$1" \
      "$("$bin/flashlane" token --member "you-$tier" --tier "$tier" --token-key "$data/store/token.key")"
  done
  echo "the desk: http://$operator/ with the key $(cat "$data/store/operator.key")"
  echo
}

if [ -n "$keep" ]; then
  trap 'exit 0' INT TERM
  # Each sale lasts ten minutes; then the next one begins. Ctrl-C ends it.
  for ((sale = 1; ; sale++)); do
    links "live-$sale"
    "$bin/load" --target "$public" --operator "$operator" --platform "$platform" --data "$data/store" --sale "live-$sale" \
      --make 6000 --members 20000 --limits 1,1,2,2,3 --stagger-ms 15000 --pay-within-s 120 \
      --rate 15 --seconds 600 --paid 60 --cancelled 10 --waiting 5 "$@" || exit 1
  done
fi

echo "a member's way"
"$bin/story" --target "$public" --operator "$operator" --platform "$platform" --data "$data/store"

echo "a sale of 1,000 units: diamond enters first, each lower tier a second later"
"$bin/load" --target "$public" --operator "$operator" --platform "$platform" \
  --data "$data/store" --make 1000 --members 20000 --tiers 92,4,2,1,1 --limits 1,1,2,2,3 \
  --stagger-ms 1000 --rate 6000 --seconds 8 --html "$report" --verify-after-stopping "$server" "${verify[@]}" "$@"
