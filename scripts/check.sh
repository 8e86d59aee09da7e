#!/usr/bin/env bash
# Runs every check that guards main. As root on Debian, it installs the packages that it needs.
set -euo pipefail
cd "$(dirname "$0")/.."

step() { printf '\n== %s (after %d:%02d)\n' "$*" $((SECONDS / 60)) $((SECONDS % 60)); }

# need COMMAND PACKAGES: installs these Debian packages if COMMAND fails.
need() {
  local what=$1
  shift
  if ! eval "$what" >/dev/null 2>&1; then
    if command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then
      apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "$@"
    else
      echo "check: something is missing; on Debian: apt-get install $*" >&2
      exit 1
    fi
  fi
}
need 'command -v cc' gcc libc6-dev
need 'command -v redis-server && command -v redis-cli' redis-server redis-tools
need 'python3 -c "import venv, ensurepip"' python3-venv
need 'command -v node && command -v npm' nodejs npm
need 'command -v java' default-jre-headless
need 'command -v jq' jq
need 'command -v chromium && command -v chromedriver' chromium chromium-driver
need 'command -v promtool' prometheus
need 'command -v nginx && command -v haproxy' nginx-light haproxy
need 'command -v curl' curl
need 'command -v faketime' faketime
for tool in cargo rustfmt cargo-clippy; do
  command -v "$tool" >/dev/null || { echo "check: $tool is missing; install Rust 1.95 or later with rustfmt and clippy" >&2; exit 1; }
done

# What is built from nothing, and once, is built quicker without what helps the next build and a debugger.
if [ ! -d "${CARGO_TARGET_DIR:-target}" ]; then
  export CARGO_INCREMENTAL=0 CARGO_PROFILE_DEV_DEBUG=0 CARGO_PROFILE_TEST_DEBUG=0
fi

step "format"
cargo fmt --all --check
step "lints"
# The tests of the pages are no default target, so they are named.
cargo clippy --locked --workspace --all-targets --test pages --quiet -- -D warnings
step "documentation"
RUSTDOCFLAGS="-D warnings" cargo doc --locked --workspace --no-deps --quiet
step "the files of libraries that the pages embed"
scripts/assets.sh --check
step "tests"
cargo test --locked --workspace
# From here on the programs are those that the tests ran, with assertions and overflow checks.
export FLASHLANE_BIN=$PWD/target/debug
[ -z "${CARGO_TARGET_DIR:-}" ] || FLASHLANE_BIN=$(realpath "$CARGO_TARGET_DIR")/debug
step "the tests of the gateway, behind a front"
scripts/front.sh
step "loom models and their twins"
scripts/loom.sh
step "atomic orderings, weakened one by one"
scripts/tried.sh orderings engine/src/sale.rs engine/src/sale engine/src/sync.rs engine/src/rules engine/src/confirm \
  loom-tests Cargo.lock scripts/orderings.sh -- scripts/orderings.sh
step "a member drop, audited"
scripts/demo.sh
step "the whole life of orders, audited: paid, with points, twice, late, forged, cancelled, given back, expired, waited for"
scripts/demo.sh --make 600 --members 6000 --rate 3000 --seconds 6 --stagger-ms 300 --keyed --repeated 5 \
  --pay-within-s 2 --paid 50 --cancelled 10 --late 5 --waiting 4 --enrolled 10 --returned 20
step "a member drop over three nodes, whose owner is killed"
scripts/cluster.sh
step "the OpenAPI documents, and clients that are generated from them"
scripts/contracts.sh
step "metrics, alerts and their tests"
scripts/metrics.sh
step "the TypeScript package, on a connection that breaks"
scripts/typescript.sh
step "a page of another origin, in a real browser"
scripts/browser.sh
step "the pages, on a phone in a real browser"
scripts/pages.sh
step "one sale after the other, for a while"
scripts/soak.sh --short
step "whatever fits the OpenAPI document, and what does not"
scripts/schemathesis.sh 20
step "behind nginx and HAProxy"
scripts/proxies.sh
step "every fault, a few times"
scripts/faults.sh --short
step "planted bugs, each noticed"
scripts/mutations.sh
step "planted bugs of the members' rules, each noticed"
scripts/tried.sh rules membership Cargo.lock scripts/rules.py -- scripts/rules.py
step "all passed"
