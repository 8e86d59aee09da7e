#!/usr/bin/env bash
# Everything that guards main. Installs what it needs where that is Debian's to give.
set -euo pipefail
cd "$(dirname "$0")/.."

step() { printf '\n== %s\n' "$*"; }

if ! command -v cc >/dev/null; then
  if command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then
    apt-get update -qq && apt-get install -y -qq gcc libc6-dev
  else
    echo "check: a C compiler is missing (Debian: gcc libc6-dev)" >&2
    exit 1
  fi
fi
if ! command -v redis-server >/dev/null || ! command -v redis-cli >/dev/null; then
  if command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then
    apt-get update -qq && apt-get install -y -qq redis-server redis-tools
  else
    echo "check: redis-server is missing (Debian: redis-server)" >&2
    exit 1
  fi
fi
for tool in cargo rustfmt cargo-clippy; do
  command -v "$tool" >/dev/null || { echo "check: $tool is missing; install Rust 1.95 or later with rustfmt and clippy" >&2; exit 1; }
done

step "format"
cargo fmt --all --check
step "lints"
cargo clippy --locked --workspace --all-targets --quiet -- -D warnings
step "documentation"
RUSTDOCFLAGS="-D warnings" cargo doc --locked --workspace --no-deps --quiet
step "tests"
cargo test --locked --workspace
step "loom models and their twins"
scripts/loom.sh
step "a member drop, audited"
scripts/demo.sh
step "every fault, a few times"
scripts/faults.sh --short
step "planted bugs, each noticed"
scripts/mutations.sh
step "all passed"
