#!/usr/bin/env bash
# Runs the stress tests of the core under ThreadSanitizer, in a build of its own (target/races). The standard
# library is not instrumented; what is shared goes through atomics, which are.
set -euo pipefail
cd "$(dirname "$0")/.."
export RUSTC_BOOTSTRAP=1 CARGO_TARGET_DIR=$PWD/target/races
export RUSTFLAGS="-Zsanitizer=thread -Cunsafe-allow-abi-mismatch=sanitizer"
host=$(rustc -vV | sed -n 's/^host: //p')
exec cargo test --locked --quiet -p engine --test it --target "$host" -- stress many_sales "$@"
