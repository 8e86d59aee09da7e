#!/usr/bin/env bash
# Runs the stress tests of the core under ThreadSanitizer, in a build of its own (target/races). The standard
# library is not instrumented; what is shared goes through atomics, which are. What it reports of the standard library
# for that reason is left out by scripts/races.supp.
set -euo pipefail
cd "$(dirname "$0")/.."
export RUSTC_BOOTSTRAP=1 CARGO_TARGET_DIR=$PWD/target/races
export RUSTFLAGS="-Zsanitizer=thread -Cunsafe-allow-abi-mismatch=sanitizer"
export TSAN_OPTIONS="suppressions=$PWD/scripts/races.supp"
host=$(rustc -vV | sed -n 's/^host: //p')
exec cargo test --locked --quiet -p engine --test it --target "$host" -- stress many_sales "$@"
