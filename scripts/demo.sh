#!/usr/bin/env bash
# Runs a member drop from beginning to end: builds, tells how a member reaches silver and what it is
# worth to her, serves 1,000 units on free ports, lets 20,000 members of five tiers click, tells how each
# tier fared, audits the sale, and stops. Exits 0 only if the audit finds nothing wrong. With `--redis` as the first
# argument the sale is in a redis-server, which is started for it. Other arguments go on to `load`, whose `--help` lists them.
set -euo pipefail
cd "$(dirname "$0")/.."
with_redis=
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

echo "a member's way"
"$bin/story" --target "$public" --operator "$operator" --platform "$platform" --data "$data/store"

echo "a sale of 1,000 units: diamond enters first, each lower tier a second later"
"$bin/load" --target "$public" --operator "$operator" --platform "$platform" \
  --data "$data/store" --make 1000 --members 20000 --tiers 92,4,2,1,1 --limits 1,1,2,2,3 \
  --stagger-ms 1000 --rate 6000 --seconds 8 --html "$report" --verify-after-stopping "$server" "${verify[@]}" "$@"
