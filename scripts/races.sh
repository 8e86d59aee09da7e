#!/usr/bin/env bash
# Runs the stress tests of a sale under ThreadSanitizer, in a build of its own (target/races), after it has seen that a
# planted race is reported. The standard library is not instrumented; what a sale shares goes through atomics, which
# are. Tests that need the runtime are left out: its locks are the standard library's, and all that they guard looks
# like a race.
set -euo pipefail
cd "$(dirname "$0")/.."
export RUSTC_BOOTSTRAP=1 CARGO_TARGET_DIR=$PWD/target/races
export RUSTFLAGS="-Zsanitizer=thread -Cunsafe-allow-abi-mismatch=sanitizer"
export TSAN_OPTIONS="suppressions=$PWD/scripts/races.supp"
host=$(rustc -vV | sed -n 's/^host: //p')
planted=$(mktemp -d)
trap 'rm -rf "$planted"' EXIT
cat >"$planted/planted.rs" <<'RUST'
use std::{ptr::addr_of_mut, sync::Barrier, thread};
static mut SHARED: u64 = 0;
fn main() {
    let both = Barrier::new(2);
    let count = || {
        both.wait();
        for _ in 0..1_000_000 {
            unsafe { *addr_of_mut!(SHARED) += 1 }
        }
    };
    thread::scope(|scope| for _ in 0..2 { scope.spawn(count); });
}
RUST
# The flags are two words.
# shellcheck disable=SC2086
rustc --edition 2024 --target "$host" $RUSTFLAGS -o "$planted/planted" "$planted/planted.rs"
if "$planted/planted" >/dev/null 2>&1; then
  echo "races: a planted race is not reported; scripts/races.supp leaves out too much" >&2
  exit 1
fi
cargo test --locked --quiet -p engine --test it --target "$host" -- --test-threads=1 \
  stress::many_threads stress::units "$@"
