#!/usr/bin/env bash
# Runs a member drop from beginning to end: builds, serves 1,000 units on free ports, lets 20,000
# members of five tiers click, tells how each tier fared, audits the sale, and stops. Exits 0 only
# if the audit finds nothing wrong. Arguments go on to `load`, whose `--help` lists them.
set -euo pipefail
cd "$(dirname "$0")/.."

command -v cargo >/dev/null || { echo "demo: cargo is missing; install Rust 1.95 or later" >&2; exit 1; }
command -v cc >/dev/null || { echo "demo: a C compiler is missing; on Debian: apt-get install gcc libc6-dev" >&2; exit 1; }
echo "building (some minutes the first time)"
cargo build --release --locked --quiet -p gateway -p benches
. scripts/server.sh
report=${CARGO_TARGET_DIR:-target}/demo-report.html
FLASHLANE_LOG=warn start_server

echo "a sale of 1,000 units: diamond enters first, each lower tier a second later"
"$bin/load" --target "$public" --operator "$operator" \
  --data "$data/store" --make 1000 --members 20000 --tiers 92,4,2,1,1 --limits 1,1,2,2,3 \
  --stagger-ms 1000 --rate 6000 --seconds 8 --html "$report" --verify-after-stopping "$server" "$@"
